//! Permissions and modification times: read by the sender, set by the receiver.

use std::{fs::File, io, path::Path, time::UNIX_EPOCH};

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

/// Gives a copy of a file the attributes of the original. Errors are ignored: the copy is private without them.
pub(super) fn copy_attributes_to_file(original: &Metadata, copy: &File) {
    set_mode(copy, mode(original));
    if let Some(time) = mtime(original) {
        set_mtime_of_file(copy, time);
    }
}

/// Gives a copy of a folder the attributes of the original. Errors are ignored, as for files.
pub(super) fn copy_attributes_to_folder(original: &Metadata, parent: &Dir, copy: &Path) {
    if let Some(time) = mtime(original) {
        set_mtime_of_folder(parent, copy, time);
    }
    set_mode_of(parent, copy, mode(original));
}

/// Lets the owner of a folder remove what is in it.
pub(super) fn make_removable(parent: &Dir, folder: &Path) {
    set_mode_of(parent, folder, 0o700);
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

/// The coarsest resolution of a common file system, FAT, in seconds.
const MAX_RESOLUTION: u64 = 2;

/// Sets the modification time of a received file. Returns `false` if the disk holds another time: the nearest one
/// within its range, or the present time if it cannot set any.
pub(super) fn set_file_mtime(file: &File, entry: &Entry) -> bool {
    let Some(time) = entry.mtime else { return true };
    set_mtime_of_file(file, time)
        && file.metadata().is_ok_and(|meta| is_close(&Metadata::from_just_metadata(meta), time))
}

/// Sets the modification time of a received folder in `parent`. Returns the same as [`set_file_mtime`].
pub(super) fn set_folder_mtime(parent: &Dir, entry: &Entry) -> bool {
    let (Some(time), name) = (entry.mtime, Path::new(entry.path.name())) else { return true };
    set_mtime_of_folder(parent, name, time) && parent.symlink_metadata(name).is_ok_and(|meta| is_close(&meta, time))
}

fn is_close(meta: &Metadata, time: Mtime) -> bool {
    mtime(meta).is_some_and(|held| held.seconds.abs_diff(time.seconds) <= MAX_RESOLUTION)
}

/// Sets a time. The system stores the nearest time that the file system can hold.
#[cfg(unix)]
fn set_mtime_of_file(file: &File, time: Mtime) -> bool {
    rustix::fs::futimens(file, &timestamps(time)).is_ok()
}

#[cfg(unix)]
fn set_mtime_of_folder(parent: &Dir, name: &Path, time: Mtime) -> bool {
    rustix::fs::utimensat(parent, name, &timestamps(time), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Returns the arguments that set the modification time, and the time of the last access to now: many file systems in
/// user space ignore a call that sets only one of them. A manifest's nanoseconds are less than a second. A file
/// never gets the earliest time of all: `cap-primitives` negates the seconds when it reads one.
#[cfg(unix)]
fn timestamps(time: Mtime) -> rustix::fs::Timestamps {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        last_modification: Timespec { tv_sec: time.seconds.max(-i64::MAX), tv_nsec: time.nanos.into() },
    }
}

#[cfg(not(unix))]
fn set_mtime_of_file(file: &File, time: Mtime) -> bool {
    system_time(time).is_some_and(|time| file.set_times(std::fs::FileTimes::new().set_modified(time)).is_ok())
}

/// Sets a time since 1970: `cap-fs-ext` panics before it.
#[cfg(not(unix))]
fn set_mtime_of_folder(parent: &Dir, name: &Path, time: Mtime) -> bool {
    use cap_fs_ext::{DirExt as _, SystemTimeSpec};
    let time = system_time(time).filter(|time| *time >= UNIX_EPOCH).map(cap_std::time::SystemTime::from_std);
    time.is_some_and(|time| parent.set_symlink_times(name, None, Some(SystemTimeSpec::Absolute(time))).is_ok())
}

/// Converts to the system's representation; `None` if the time is out of its range.
#[cfg(not(unix))]
fn system_time(time: Mtime) -> Option<std::time::SystemTime> {
    use std::time::Duration;
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    whole.checked_add(Duration::from_nanos(u64::from(time.nanos)))
}
