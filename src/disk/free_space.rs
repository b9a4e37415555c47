//! The free space of a disk.

use cap_std::fs::Dir;

/// The space that this user can still use on a file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct FreeSpace {
    /// `None` if the file system does not report it.
    pub(super) bytes: Option<u64>,
    /// The number of files and folders that can be created; `None` if the file system has no such limit.
    pub(super) inodes: Option<u64>,
}

impl FreeSpace {
    /// Returns the free space on the file system of `dir`.
    #[cfg(unix)]
    pub(super) fn of(dir: &Dir) -> Self {
        let Ok(stat) = rustix::fs::fstatvfs(dir) else { return Self { bytes: None, inodes: None } };
        Self {
            // Some network and user-space file systems report nothing but zeros.
            bytes: (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize)),
            inodes: (stat.f_files > 0).then_some(stat.f_favail),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn of(_dir: &Dir) -> Self {
        Self { bytes: None, inodes: None }
    }
}
