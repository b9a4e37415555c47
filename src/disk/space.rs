//! Checks that a download fits and that the target folder is writable.

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::{disk_usage::DiskUsage, staging_layout::staging_name, target::Target};
use crate::{
    error::{Error, Kind, Result},
    manifest::ShareId,
    text::bytes,
};

/// Checks that the user can write to the target folder.
///
/// # Errors
/// [`Kind::Disk`] if the permissions or a read-only file system forbid it. Any other obstacle causes an error at the
/// first write.
#[cfg(unix)]
pub(super) fn check_writable(target: &Target) -> Result<()> {
    use rustix::{
        fs::{Access, AtFlags, accessat},
        io::Errno,
    };
    match accessat(target.existing_folder(), ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Err(e @ (Errno::ACCESS | Errno::ROFS)) => {
            Err(super::errors::disk_error("write to", target.printable(), &e.into()))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn check_writable(_target: &Target) -> Result<()> {
    Ok(())
}

/// Checks that `needed` bytes fit. Data that an earlier download of this share has staged counts as free space, because
/// it is reused or removed.
///
/// # Errors
/// [`Kind::Disk`] with the needed and the free bytes.
pub(super) fn check_space(target: &Target, share: ShareId, needed: u64) -> Result<()> {
    let Some(free) = free_bytes(target.existing_folder()) else { return Ok(()) };
    if needed <= free {
        return Ok(());
    }
    let free = free.saturating_add(target.folder().map_or(0, |base| staged_disk_bytes(base, share)));
    if needed <= free {
        return Ok(());
    }
    let message = format!("not enough space in {}: {} needed, {} free", target.printable(), bytes(needed), bytes(free));
    Err(Error::new(Kind::Disk, message).hint("free up space, or use --out DIR to save to another disk"))
}

/// Returns the disk space in bytes that the staging folder of `share` in `base` occupies.
pub(super) fn staged_disk_bytes(base: &Dir, share: ShareId) -> u64 {
    base.open_dir_nofollow(staging_name(share)).map_or(0, |staging| DiskUsage::of(&staging).bytes)
}

/// Returns the bytes that this user can still write to the file system of `dir`; `None` if it does not report that.
#[cfg(unix)]
pub(super) fn free_bytes(dir: &Dir) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(dir).ok()?;
    // Some network and user-space file systems report nothing but zeros.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_dir: &Dir) -> Option<u64> {
    None
}
