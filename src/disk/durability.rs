//! Syncs written data to the disk.
//!
//! Every file must be on the disk before it gets its final name. Large files are synced one by one. On Linux, small
//! files are synced together by one `syncfs` before the first rename: waiting for the disk after each of them takes
//! longer than writing them.
//!
//! Some file systems, mostly in user space, cannot sync. Nothing more can be done there, so this is not an error.

use std::{fs::File, io};

use cap_std::fs::Dir;

/// Files of at least this size are synced one by one, in bytes.
const MIN_SYNCED_FILE: u64 = 1024 * 1024;

/// Whether data is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It is on the disk.
    Synced,
    /// A power failure can lose it until [`sync_file_system`] is called.
    Deferred,
}

/// Syncs a finished file of `length` bytes, or leaves that to [`sync_file_system`].
pub(super) fn sync_file(file: &File, length: u64) -> io::Result<Durability> {
    if cfg!(any(target_os = "linux", target_os = "android")) && length < MIN_SYNCED_FILE {
        return Ok(Durability::Deferred);
    }
    sync_whole_file(file)?;
    Ok(Durability::Synced)
}

/// Syncs a file of any length.
pub(super) fn sync_whole_file(file: &File) -> io::Result<()> {
    ignore_unsupported(file.sync_all())
}

fn ignore_unsupported(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Syncs the file system of `dir`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn sync_file_system(dir: &Dir) -> io::Result<()> {
    ignore_unsupported(open_for_sync(dir).and_then(rustix::fs::syncfs).map_err(io::Error::from))
}

/// Does nothing: on this system, [`sync_file`] syncs every file.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn sync_file_system(_dir: &Dir) -> io::Result<()> {
    Ok(())
}

/// Syncs the names in a folder. Errors are ignored: not every file system supports it, and the files themselves are on
/// the disk.
pub(super) fn sync_folder(dir: &Dir) {
    #[cfg(unix)]
    let _ = open_for_sync(dir).and_then(rustix::fs::fsync);
    #[cfg(not(unix))]
    let _ = dir;
}

/// Opens a folder again for syncing: the handle of a [`Dir`] may be open for path lookups only (`O_PATH`).
#[cfg(unix)]
fn open_for_sync(dir: &Dir) -> rustix::io::Result<rustix::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags, openat};
    openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_file_system_that_cannot_sync_is_no_failure() {
        for unsupported in [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS] {
            ignore_unsupported(Err(unsupported.into())).unwrap();
        }
        for failed in [Errno::IO, Errno::NOSPC, Errno::DQUOT] {
            ignore_unsupported(Err(failed.into())).unwrap_err();
        }
    }
}
