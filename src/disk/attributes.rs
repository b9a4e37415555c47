//! Permissions and modification times: read by the sender, set by the receiver.

use std::{
    fs::{File, FileTimes},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cap_fs_ext::{DirExt as _, SystemTimeSpec};
#[cfg(unix)]
use cap_std::fs::MetadataExt as _;
use cap_std::fs::{Dir, Metadata};

use crate::manifest::{Entry, Mtime};

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

/// Returns the permission bits that a received file is created with, before the user's umask: executable if the sender
/// could execute it. No other permission of the sender is used.
pub(super) fn creation_mode(entry: &Entry) -> u32 {
    if entry.mode & 0o100 != 0 { 0o777 } else { 0o666 }
}

/// Corrects the permissions of a file that an earlier download created. If the sender can execute the file, every user
/// that can read it can execute it; otherwise no user can.
#[cfg(unix)]
pub(super) fn correct_mode(file: &File, entry: &Entry) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let mode = file.metadata()?.mode() & 0o7777;
    let wanted = mode & 0o666 | if entry.mode & 0o100 != 0 { (mode & 0o444) >> 2 } else { 0 };
    if mode == wanted { Ok(()) } else { file.set_permissions(std::fs::Permissions::from_mode(wanted)) }
}

#[cfg(not(unix))]
pub(super) fn correct_mode(_file: &File, _entry: &Entry) -> io::Result<()> {
    Ok(())
}

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
