//! The state folder: small private files that outlive a process.
//!
//! The folder has mode 0700 and its files 0600. A file is replaced atomically: the new content is written to a
//! temporary file, synced, and renamed. A reader sees either the old or the new content, and so does the next process
//! after a power cut. Append-only files have their own rules.

mod access;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use self::access::StateAccess;
use crate::error::{Error, Kind, Result};

/// A state folder that exists and is private. A handle: clones refer to the same folder.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens the folder `path`; creates it with mode 0700 if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be created, belongs to another user, or can be written to by others: they could
    /// replace keys and trusted relays.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        create_folder(&path).map_err(|e| state_error("create the folder", &path, &e))?;
        check_owner(&path)?;
        Ok(Self { path })
    }

    /// Opens a folder inside this one; creates it if it does not exist.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn subfolder(&self, name: &str) -> Result<Self> {
        Self::open(self.path.join(name))
    }

    /// Returns the path of the file `name` in this folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads the file `name` of at most `limit` bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be read or is larger than `limit`.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        read_file(&self.path(name), limit)
    }

    /// Opens the file `name` for incremental reads. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be opened.
    pub fn open_to_read(&self, name: &str) -> Result<Option<File>> {
        open_existing(&self.path(name))
    }

    /// Creates the folder again if it was removed.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn recreate(&self) -> Result<()> {
        Self::open(self.path.clone()).map(drop)
    }

    /// Opens the file `name`, which must exist, for reading and appending. Appended data is not synced.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be opened.
    pub fn open_to_append(&self, name: &str) -> Result<File> {
        let path = self.path(name);
        open_file(OpenOptions::new().read(true).append(true), &path).map_err(|e| state_error("write", &path, &e))
    }

    /// Opens the file `name`, which must exist, to lock it.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open_lock(&self, name: &str) -> io::Result<File> {
        open_file(OpenOptions::new().read(true), &self.path(name))
    }

    /// Replaces the content of the file `name`. The new content is on the disk on return.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        self.replace(name, content, |_| Ok(())).map(drop)
    }

    /// Writes the file `name` like [`StateDir::write`], and locks it before it becomes visible under its name. It stays
    /// locked until the returned file is dropped.
    ///
    /// # Errors
    /// As [`StateDir::write`].
    pub fn write_locked(&self, name: &str, content: &[u8]) -> Result<File> {
        self.replace(name, content, File::lock)
    }

    /// Replaces the file `name`; calls `prepare` with the complete file before it is renamed.
    fn replace(&self, name: &str, content: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> Result<File> {
        let path = self.path(name);
        let temporary = self.path(&format!(".{name}.{:08x}", rand::random::<u32>()));
        let replaced = write_private(&temporary, content).and_then(|file| {
            prepare(&file)?;
            fs::rename(&temporary, &path)?;
            sync_folder(&self.path)?;
            Ok(file)
        });
        replaced.map_err(|e| {
            let _ = fs::remove_file(&temporary); // best effort: see `sweep`
            state_error("write", &path, &e)
        })
    }

    /// Removes the file `name`, if it exists. Ignores errors.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name)); // best effort: see `sweep`
    }

    /// Removes the files that dead processes left behind: temporary files, and files for which `is_orphaned` returns
    /// true. Both only if they were last modified longer than `age` ago.
    pub fn sweep(&self, age: Duration, is_orphaned: impl Fn(&Path) -> bool) {
        for name in self.all_names() {
            let path = self.path(&name);
            let written = fs::symlink_metadata(&path).and_then(|meta| meta.modified());
            let is_old = written.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age));
            if is_old && (is_temporary(&name) || is_orphaned(&path)) {
                self.remove(&name);
            }
        }
    }

    /// Returns the names of the files in this folder, without temporary files.
    pub fn file_names(&self) -> Vec<String> {
        self.all_names().filter(|name| !is_temporary(name)).collect()
    }

    fn all_names(&self) -> impl Iterator<Item = String> + use<> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }
}

/// Reads a file of at most `limit` bytes; `None` if it does not exist. Unlike in a [`StateDir`], the file may belong to
/// another user.
///
/// # Errors
/// [`Kind::Disk`] if it cannot be read or is larger than `limit`.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(|e| state_error("read", path, &e))?;
    if content.len() as u64 > limit {
        return Err(Error::new(Kind::Disk, format!("{} is larger than {limit} bytes", path.display()))
            .hint("qshare did not write this file; move it away"));
    }
    Ok(Some(content))
}

fn open_existing(path: &Path) -> Result<Option<File>> {
    match open_file(OpenOptions::new().read(true), path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(state_error("read", path, &e)),
    }
}

/// Whether `name` is the name of a temporary file.
fn is_temporary(name: &str) -> bool {
    name.starts_with('.')
}

/// Opens a regular file. Opening a FIFO in its place fails at once instead of waiting for a writer.
///
/// # Errors
/// Any I/O error, and [`io::ErrorKind::InvalidInput`] if it is not a regular file.
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
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Whether an open handle holds an exclusive lock on the file. Returns `false` if the file cannot be opened.
pub fn is_locked(path: &Path) -> bool {
    open_file(OpenOptions::new().read(true), path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Sets the modification time of an open file to the current time, which postpones its removal by [`StateDir::sweep`].
///
/// # Errors
/// Any I/O error.
pub fn touch(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::now())
}

/// Returns the seconds since 1970, for times that another process reads.
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Writes and syncs a file with mode 0600, which must not exist yet.
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

fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Checks that a file can be written in a folder: the file system may be read-only or full.
fn try_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".trial.{:08x}", rand::random::<u32>()));
    let written = File::create_new(&path).and_then(|mut file| file.write_all(b"trial"));
    let _ = fs::remove_file(&path); // best effort: see `StateDir::sweep`
    written
}

/// Checks that nobody but this user, and the superuser, can change the content of a folder.
#[cfg(unix)]
fn check_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    const SUPERUSER: u32 = 0;
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let meta = fs::metadata(path).map_err(|e| state_error("open", path, &e))?;
    let unsafe_because = |what: &str| Error::new(Kind::Disk, format!("{} {what}", path.display()));
    if ![rustix::process::geteuid().as_raw(), SUPERUSER].contains(&meta.uid()) {
        return Err(unsafe_because("belongs to another user")
            .hint("run qshare as that user, or set XDG_STATE_HOME to a folder of your own"));
    }
    if meta.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(unsafe_because("can be written to by other users")
            .hint(format!("if you trust its content, run: chmod go-w {}", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(()) // Windows has no folder handles that can be synced
}

fn state_error(action: &str, path: &Path, e: &io::Error) -> Error {
    Error::new(Kind::Disk, format!("cannot {action} {}: {e}", path.display()))
        .hint("check the permissions and the free space of that folder")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        for (mode, is_safe) in [(0o700, true), (0o755, true), (0o770, false), (0o702, false), (0o1777, false)] {
            fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
            let opened = StateDir::open(home.path());
            assert_eq!(opened.is_ok(), is_safe, "{mode:o}");
            assert!(opened.err().is_none_or(|e| e.kind() == Kind::Disk && e.hint_text().unwrap().contains("chmod")));
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(home.path(), Some(12_345), None).unwrap();
            fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
            assert!(StateDir::open(home.path()).unwrap_err().message().contains("another user"));
        }
    }

    #[test]
    fn files_are_private_and_replaced_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path().join("deep/state")).unwrap();
        dir.write("key", b"one").unwrap();
        dir.write("key", b"two").unwrap();
        assert_eq!(dir.read("key", 3).unwrap().unwrap(), b"two");
        assert_eq!(dir.read("key", 2).unwrap_err().kind(), Kind::Disk);
        assert_eq!(dir.read("other", 10).unwrap(), None);
        assert_eq!(dir.file_names(), ["key"]);
        assert_eq!(fs::metadata(dir.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(home.path().join("deep/state")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn reading_a_fifo_fails_at_once() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        mknodat(CWD, dir.path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(dir.read("fifo", 10).unwrap_err().kind(), Kind::Disk);
    }

    #[test]
    fn a_sweep_removes_old_temporary_and_orphaned_files() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        dir.write("key", b"new").unwrap();
        dir.write("old", b"").unwrap();
        fs::write(dir.path(".old.1234"), b"half").unwrap();
        for name in ["old", ".old.1234"] {
            File::options().write(true).open(dir.path(name)).unwrap().set_modified(UNIX_EPOCH).unwrap();
        }
        dir.sweep(Duration::from_secs(60), |_| false);
        assert_eq!(dir.file_names().len(), 2);
        assert!(!dir.path(".old.1234").exists());
        dir.sweep(Duration::from_secs(60), |_| true);
        assert_eq!(dir.file_names(), ["key"]);
    }
}
