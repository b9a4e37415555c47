//! An empty folder on the target's disk, in which a plan tries what the disk can hold.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::{
    open_options,
    staging_layout::{remove_tree, trial_name},
};

/// The length of the file that shows whether holes are kept. It is longer than the blocks of common file systems.
const HOLE: u64 = 1024 * 1024;

/// An empty folder on a disk. A test replaces it by one that behaves like another file system.
pub(super) trait TrialDisk {
    /// Creates an empty file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if any file answers to this name, and any other I/O error.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Creates a symbolic link.
    ///
    /// # Errors
    /// Any I/O error.
    fn link(&mut self, name: &str) -> io::Result<()>;

    /// Whether a folder that is renamed keeps its content.
    fn keeps_renamed_folders(&mut self) -> bool;

    /// Returns the names of all files as the disk has stored them.
    ///
    /// # Errors
    /// Any I/O error.
    fn stored_names(&self) -> io::Result<Vec<OsString>>;

    /// Removes all files.
    ///
    /// # Errors
    /// Any I/O error.
    fn clear(&mut self) -> io::Result<()>;

    /// Whether a file may have this length in bytes. Writes nothing.
    fn allows_length(&mut self, length: u64) -> bool;

    /// Whether a part of a file that was never written reads as zeros and takes no space.
    fn keeps_holes(&mut self) -> bool;

    /// Returns the space in bytes that a file of one byte takes; 0 if the disk does not say.
    fn allocation_unit(&mut self) -> u64;
}

/// A [`TrialDisk`] on a real disk. When it is dropped, it is removed.
#[derive(Debug)]
pub(super) struct TrialFolder {
    parent: Dir,
    name: String,
    folder: Dir,
}

impl TrialFolder {
    /// Creates the folder in `parent`.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn create(parent: &Dir) -> io::Result<Self> {
        let (parent, name) = (parent.try_clone()?, trial_name());
        parent.create_dir_with(&name, &open_options::folder_builder(0o700))?;
        match parent.open_dir_nofollow(&name) {
            Ok(folder) => Ok(Self { parent, name, folder }),
            Err(e) => {
                let _ = parent.remove_dir(&name);
                Err(e)
            }
        }
    }

    fn create_file(&self, name: &str) -> io::Result<File> {
        let mut options = open_options::for_creating(0o600);
        Ok(self.folder.open_with(name, options.read(true))?.into_std())
    }

    /// Renames a folder with a file. Returns whether the file is in the folder afterwards.
    fn try_rename(&self) -> io::Result<bool> {
        self.folder.create_dir("before")?;
        self.folder.open_dir_nofollow("before")?.open_with("file", &open_options::for_creating(0o600))?;
        self.folder.rename("before", &self.folder, "after")?;
        // The system may find a file that it remembers, so the folder is listed.
        Ok(self.folder.open_dir_nofollow("after")?.entries()?.flatten().any(|entry| entry.file_name() == "file"))
    }

    /// Writes a byte before and after a hole. Returns whether the file then has the right content and is small.
    fn try_hole(&self) -> io::Result<bool> {
        let mut file = self.create_file("holes")?;
        file.write_all(b"1")?;
        file.seek(SeekFrom::Start(HOLE))?;
        file.write_all(b"1")?;
        file.set_len(2 * HOLE)?;
        let mut content = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        (&file).take(3 * HOLE).read_to_end(&mut content)?;
        let is_right = content.len() as u64 == 2 * HOLE
            && content
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == if matches!(at as u64, 0 | HOLE) { b'1' } else { 0 });
        Ok(is_right && allocated_bytes(&file)? < HOLE)
    }
}

impl TrialDisk for TrialFolder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.create_file(name).map(drop)
    }

    fn link(&mut self, name: &str) -> io::Result<()> {
        self.folder.symlink("target", name)
    }

    fn keeps_renamed_folders(&mut self) -> bool {
        let is_kept = self.try_rename().unwrap_or(false);
        let _ = self.clear(); // dropping this tries again
        is_kept
    }

    fn stored_names(&self) -> io::Result<Vec<OsString>> {
        self.folder.entries()?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn clear(&mut self) -> io::Result<()> {
        self.stored_names()?.iter().try_for_each(|name| remove_tree(&self.folder, name))
    }

    fn allows_length(&mut self, length: u64) -> bool {
        // The system refuses to seek beyond the largest file of most file systems.
        let seek = || self.create_file("length")?.seek(SeekFrom::Start(length));
        let is_allowed = seek().is_ok();
        let _ = self.clear(); // dropping this tries again
        is_allowed
    }

    fn keeps_holes(&mut self) -> bool {
        let is_kept = self.try_hole().unwrap_or(false);
        let _ = self.clear(); // dropping this tries again
        is_kept
    }

    fn allocation_unit(&mut self) -> u64 {
        let write = || {
            let mut file = self.create_file("unit")?;
            file.write_all(b"1")?;
            allocated_bytes(&file)
        };
        let unit = write().unwrap_or(0);
        let _ = self.clear(); // dropping this tries again
        unit
    }
}

#[cfg(test)]
mod fat;
#[cfg(test)]
pub(super) use self::fat::FatDisk;

impl Drop for TrialFolder {
    fn drop(&mut self) {
        let _ = self.clear(); // `qshare parts --clear` removes what remains
        let _ = self.parent.remove_dir(&self.name);
    }
}

#[cfg(unix)]
fn allocated_bytes(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::blocks(&file.metadata()?).saturating_mul(512))
}

#[cfg(not(unix))]
fn allocated_bytes(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_leave_nothing() {
        let home = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(home.path(), cap_std::ambient_authority()).unwrap();
        let mut disk = TrialFolder::create(&dir).unwrap();
        disk.create("a").unwrap();
        assert_eq!(disk.create("a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.stored_names().unwrap(), ["a"]);
        assert!(disk.allows_length(1 << 31) && !disk.allows_length(u64::MAX));
        assert!(disk.keeps_renamed_folders());
        disk.create("b").unwrap();
        drop(disk);
        assert_eq!(dir.entries().unwrap().count(), 0);
    }
}
