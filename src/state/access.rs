//! A state folder that a command can do without.

use std::{fs, path::PathBuf};

use super::{StateDir, check_owner, create_folder, state_error, try_write};
use crate::error::{Error, Kind, Result};

/// The state folder of a command that works without it, as far as the system allows its use.
#[derive(Debug, Clone)]
pub struct StateAccess {
    dir: Option<StateDir>,
    /// Why nothing can be written to it.
    problem: Option<Error>,
}

impl StateAccess {
    /// Opens the folder `path` like [`StateDir::open`], if the system allows it.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it belongs to another user, or can be written to by others.
    pub fn open(path: PathBuf) -> Result<Self> {
        if let Err(e) = create_folder(&path) {
            return Ok(Self::unavailable(state_error("create the folder", &path, &e)));
        }
        check_owner(&path)?;
        let problem = try_write(&path).err().map(|e| state_error("write to", &path, &e));
        let is_readable = fs::read_dir(&path).is_ok();
        Ok(Self { dir: is_readable.then_some(StateDir { path }), problem })
    }

    /// Opens the folder that a user has named, which must be usable; `None` for no folder.
    ///
    /// # Errors
    /// Those of [`StateDir::open`].
    pub fn named(folder: Option<PathBuf>) -> Result<Self> {
        Ok(Self { dir: folder.map(StateDir::open).transpose()?, problem: None })
    }

    /// Returns the access to a folder that does not exist.
    pub fn unavailable(problem: Error) -> Self {
        Self { dir: None, problem: Some(problem) }
    }

    /// Returns the folder, if it can be written to.
    pub fn writable(&self) -> Option<&StateDir> {
        self.dir.as_ref().filter(|_| self.problem.is_none())
    }

    /// Returns the folder, if it can be read. Known relays count even if nothing can be added to them.
    pub fn readable(&self) -> Option<&StateDir> {
        self.dir.as_ref()
    }

    /// Returns why nothing can be written to the folder.
    pub fn problem(&self) -> Option<&Error> {
        self.problem.as_ref()
    }

    /// Returns the folder for a command that needs it.
    ///
    /// # Errors
    /// [`Kind::Disk`] if nothing can be written to it.
    pub fn required(self) -> Result<StateDir> {
        match self {
            Self { dir: Some(dir), problem: None } => Ok(dir),
            Self { problem, .. } => Err(problem.unwrap_or_else(|| Error::new(Kind::Disk, "there is no state folder"))),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_used_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        let (path, file) = (home.path().join("state"), home.path().join("file"));
        let usable = StateAccess::open(path.clone()).unwrap();
        assert!(usable.writable().is_some() && usable.problem().is_none() && usable.required().is_ok());
        fs::write(&file, "").unwrap();
        let missing = StateAccess::open(file.join("state")).unwrap();
        assert!(missing.readable().is_none() && missing.problem().unwrap().message().contains("cannot create"));
        assert_eq!(missing.required().unwrap_err().kind(), Kind::Disk);
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).unwrap();
            let fixed = StateAccess::open(path.clone()).unwrap();
            assert!(fixed.writable().is_none() && fixed.readable().is_some());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(StateAccess::open(path).unwrap_err().kind(), Kind::Disk);
    }
}
