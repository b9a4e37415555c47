//! What tells that a file is still the one that was scanned.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::Metadata;
#[cfg(unix)]
use cap_std::fs::MetadataExt as _;

use crate::manifest::Mtime;

/// Device, inode, size, mtime and ctime of a file; size and mtime alone where the system has no more to tell.
///
/// Times are nanoseconds since 1970 modulo 2⁶⁴: they are only ever compared for equality, and there is one stamp for
/// every entry of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint {
    place: DeviceAndInode,
    size: u64,
    modified: i64,
    #[cfg(unix)]
    changed: i64,
}

/// Which file it is, whatever its content: two equal ones are the same file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DeviceAndInode {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Fingerprint {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            place: DeviceAndInode::of(meta),
            size: meta.len(),
            modified: mtime(meta).map_or(0, |t| nanos(t.seconds, i64::from(t.nanos))),
            #[cfg(unix)]
            changed: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl DeviceAndInode {
    #[cfg(unix)]
    pub(super) fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }

    #[cfg(not(unix))]
    pub(super) fn of(_meta: &Metadata) -> Self {
        Self {}
    }
}

fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}

/// The permission bits of a file or folder (0o777).
#[cfg(unix)]
pub(super) fn mode(meta: &Metadata) -> u32 {
    meta.mode() & 0o777
}

/// The permission bits that a file without any stands for.
#[cfg(not(unix))]
pub(super) fn mode(meta: &Metadata) -> u32 {
    if meta.is_dir() { 0o755 } else { 0o644 }
}

/// When a file was last modified, where the system knows.
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

/// The time as the system counts it; `None` where it cannot count that far.
pub(super) fn system_time(time: Mtime) -> Option<SystemTime> {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    whole.checked_add(Duration::from_nanos(u64::from(time.nanos)))
}
