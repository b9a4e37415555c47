//! Permissions and modification times: read by the sender, set by the receiver.

use std::{
    fs::{File, FileTimes},
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cap_fs_ext::{DirExt as _, SystemTimeSpec};
#[cfg(unix)]
use cap_std::fs::MetadataExt as _;
use cap_std::fs::{Dir, Metadata};

use crate::manifest::{Entry, EntryKind, Mtime};

/// Returns the permission bits of a file or folder (0o777).
#[cfg(unix)]
pub(super) fn mode(meta: &Metadata) -> u32 {
    meta.mode() & 0o777
}

/// Returns the usual permission bits, because this system has none.
#[cfg(not(unix))]
pub(super) fn mode(meta: &Metadata) -> u32 {
    if meta.is_dir() { 0o755 } else { 0o644 }
}

/// Returns the modification time, if the system has one.
pub(super) fn mtime(meta: &Metadata) -> Option<Mtime> {
    let time = meta.modified().ok()?.into_std();
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Some(Mtime { seconds: i64::try_from(after.as_secs()).ok()?, nanos: after.subsec_nanos() }),
        Err(e) => {
            let before = e.duration();
            let whole = -i64::try_from(before.as_secs()).ok()?;
            match before.subsec_nanos() {
                0 => Some(Mtime { seconds: whole, nanos: 0 }),
                nanos => Some(Mtime { seconds: whole.checked_sub(1)?, nanos: 1_000_000_000 - nanos }),
            }
        }
    }
}

/// The permission bits that the user's umask allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct PermissionMask(u32);

impl PermissionMask {
    /// Returns the mask that applied when `folder` was created with all permissions.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn of_new(folder: &Dir) -> io::Result<Self> {
        Ok(Self(mode(&folder.dir_metadata()?)))
    }

    /// Returns the permissions of a received entry: those of the sender that the umask allows.
    fn final_mode(self, entry: &Entry) -> u32 {
        entry.mode & self.0
    }

    /// Returns the permissions of a staged entry. The owner keeps access until it is published.
    fn staged_mode(self, entry: &Entry) -> u32 {
        self.final_mode(entry) | owner_access(entry)
    }

    /// Whether the owner has less access to the published entry than to the staged one.
    pub(super) fn restricts_owner(self, entry: &Entry) -> bool {
        self.final_mode(entry) != self.staged_mode(entry)
    }

    /// Sets the permissions of a complete staged file.
    pub(super) fn set_on_staged_file(self, file: &File, entry: &Entry) {
        set_mode(file, self.staged_mode(entry));
    }

    /// Sets the permissions of a staged folder in `parent`. An earlier download may have created it with others.
    pub(super) fn set_on_staged_folder(self, parent: &Dir, entry: &Entry) {
        set_mode_of(parent, Path::new(entry.path.name()), self.staged_mode(entry));
    }

    /// Sets the final permissions of the entry, which has this `name` in `parent`.
    pub(super) fn set_final(self, parent: &Dir, name: &Path, entry: &Entry) {
        set_mode_of(parent, name, self.final_mode(entry));
    }
}

/// Returns the permission bits that a received entry is created with, before the user's umask: those of the sender, and
/// full access for the owner while it is filled. They are never wider than the sender's for anyone else.
pub(super) fn creation_mode(entry: &Entry) -> u32 {
    entry.mode | owner_access(entry)
}

/// Returns the permission bits with which the owner can fill an entry.
fn owner_access(entry: &Entry) -> u32 {
    if entry.kind == EntryKind::Folder { 0o700 } else { 0o600 }
}

/// Sets the permissions of an open file, if they differ. Errors are ignored: not every file system has permissions, and
/// the file is private or complete without them.
#[cfg(unix)]
fn set_mode(file: &File, wanted: u32) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if file.metadata().is_ok_and(|meta| meta.mode() & 0o7777 != wanted) {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(wanted)); // optional, see above
    }
}

/// Sets the permissions of an entry in `parent`. Errors are ignored, as for open files. The caller knows that the entry
/// is not a link.
#[cfg(unix)]
#[allow(clippy::useless_conversion, reason = "the type of a mode has 16 bits on macOS")]
fn set_mode_of(parent: &Dir, name: &Path, wanted: u32) {
    let mode = rustix::fs::Mode::from_raw_mode(wanted.try_into().unwrap_or(0));
    let _ = rustix::fs::chmodat(parent, name, mode, rustix::fs::AtFlags::empty()); // optional, see above
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _wanted: u32) {}

#[cfg(not(unix))]
fn set_mode_of(_parent: &Dir, _name: &Path, _wanted: u32) {}

/// Sets the modification time of a received file. Errors are ignored: not every file system can represent every time,
/// and the file is complete without it.
pub(super) fn set_file_mtime(file: &File, entry: &Entry) {
    if let Some(time) = entry.mtime.and_then(system_time) {
        let _ = file.set_times(FileTimes::new().set_modified(time)); // optional, see above
    }
}

/// Sets the modification time of a received folder in `parent`. Errors are ignored, as for files.
pub(super) fn set_folder_mtime(parent: &Dir, entry: &Entry) {
    if let Some(time) = entry.mtime.and_then(system_time) {
        let time = SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time));
        let _ = parent.set_symlink_times(entry.path.name(), None, Some(time)); // optional, see above
    }
}

/// Converts to the system's representation; `None` if the time is out of its range.
fn system_time(time: Mtime) -> Option<SystemTime> {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    whole.checked_add(Duration::from_nanos(u64::from(time.nanos)))
}
