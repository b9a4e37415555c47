//! The state folder: small private files that outlive a process.
//!
//! The folder is 0700 and its files 0600. A file is replaced in one step (written beside, synced, renamed), so that
//! a reader sees the old content or the new one and a power cut leaves one of the two.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::error::{Error, Kind, Result};

/// A handle to a state folder that exists and is private.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens `path`, making it (0700) where it is missing.
    ///
    /// # Errors
    /// [`Kind::Disk`] where it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|e| cannot("make the folder", &path, &e))?;
        Ok(Self { path })
    }

    /// A folder inside this one.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn subfolder(&self, name: &str) -> Result<Self> {
        Self::open(self.path.join(name))
    }

    /// Where the file `name` of this folder lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of `name`, at most `limit` bytes of it; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Kind::Disk`] where it cannot be read or is longer than `limit`.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let file = match open_file(OpenOptions::new().read(true), &path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content).map_err(|e| cannot("read", &path, &e))?;
        if content.len() as u64 > limit {
            return Err(Error::new(Kind::Disk, format!("{} is longer than {limit} bytes", path.display()))
                .hint("it is not a file of this program; move it away"));
        }
        Ok(Some(content))
    }

    /// The file `name`, to be locked.
    ///
    /// # Errors
    /// What the system says.
    pub fn open_lock(&self, name: &str) -> io::Result<File> {
        open_file(OpenOptions::new().read(true), &self.path(name))
    }

    /// Replaces `name` by `content`; on return it is on the disk.
    ///
    /// # Errors
    /// [`Kind::Disk`] where it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        self.replace(name, content, |_| Ok(())).map(drop)
    }

    /// [`StateDir::write`] of a file that is locked before anybody can see it; it stays locked until what this gives is
    /// dropped.
    ///
    /// # Errors
    /// As there.
    pub fn write_locked(&self, name: &str, content: &[u8]) -> Result<File> {
        self.replace(name, content, File::lock)
    }

    fn replace(&self, name: &str, content: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> Result<File> {
        let path = self.path(name);
        let beside = self.path(&format!(".{name}.{:08x}", rand::random::<u32>()));
        let replaced = write_private(&beside, content).and_then(|file| {
            prepare(&file)?;
            fs::rename(&beside, &path)?;
            sync_folder(&self.path)?;
            Ok(file)
        });
        replaced.map_err(|e| {
            let _ = fs::remove_file(&beside);
            cannot("write", &path, &e)
        })
    }

    /// Removes `name`; a file that is not there is fine.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Removes the files that were last written longer ago than `age` and that `is_left_behind` by a process that could
    /// not do it itself, temporary ones among them.
    pub fn sweep(&self, age: Duration, is_left_behind: impl Fn(&Path) -> bool) {
        for name in self.all_names() {
            let path = self.path(&name);
            let written = fs::symlink_metadata(&path).and_then(|meta| meta.modified());
            let is_old = written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age));
            if is_old && (is_temporary(&name) || is_left_behind(&path)) {
                self.remove(&name);
            }
        }
    }

    /// The names of the files in this folder, temporary ones left out.
    pub fn file_names(&self) -> Vec<String> {
        self.all_names().filter(|name| !is_temporary(name)).collect()
    }

    fn all_names(&self) -> impl Iterator<Item = String> + use<> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }
}

/// Whether it is the name of a file that is being written.
fn is_temporary(name: &str) -> bool {
    name.starts_with('.')
}

/// Opens what must be a file: something else in its place is neither waited for nor read.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::InvalidInput`] for what is no file.
pub fn open_file(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let mut options = options.clone();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"))
    }
}

/// Whether a process holds the lock of this file.
pub fn is_locked(path: &Path) -> bool {
    open_file(OpenOptions::new().read(true), path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Seconds since 1970, for what is to be understood by another process.
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Writes a file that nobody else can read, and that must not exist yet.
fn write_private(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(()) // Windows has no handle to a folder that could be synced
}

fn cannot(what: &str, path: &Path, e: &io::Error) -> Error {
    Error::new(Kind::Disk, format!("cannot {what} {}: {e}", path.display()))
        .hint("check the permissions and the free space of that folder")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path().join("deep/state")).unwrap();
        dir.write("key", b"one").unwrap();
        dir.write("key", b"two").unwrap();
        assert_eq!(dir.read("key", 3).unwrap().unwrap(), b"two");
        assert_eq!(dir.read("key", 2).unwrap_err().kind(), Kind::Disk);
        assert_eq!(dir.read("other", 10).unwrap(), None);
        assert_eq!(dir.file_names(), ["key"]);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(dir.read("fifo", 10).unwrap_err().kind(), Kind::Disk, "nobody waits for it");
        dir.remove("fifo");
        dir.write("old", b"").unwrap();
        fs::write(dir.path(".old.1234"), b"half").unwrap();
        let long_ago = std::time::UNIX_EPOCH;
        for name in ["old", ".old.1234"] {
            File::options().write(true).open(dir.path(name)).unwrap().set_modified(long_ago).unwrap();
        }
        dir.sweep(Duration::from_secs(60), |_| false);
        assert_eq!(dir.file_names().len(), 2);
        assert!(!dir.path(".old.1234").exists());
        dir.sweep(Duration::from_secs(60), |_| true);
        assert_eq!(dir.file_names(), ["key"]);
        assert_eq!(fs::metadata(dir.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.path().join("deep/state")).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
