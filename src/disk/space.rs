//! Whether a download fits and may be written.

use cap_std::fs::Dir;

use super::{staging, target::Target};
use crate::{
    error::{Error, Kind, Result},
    manifest::ShareId,
    text::bytes,
};

/// Checks that the target folder may be written to.
#[cfg(unix)]
pub(super) fn check_writable(target: &Target) -> Result<()> {
    use rustix::{
        fs::{Access, AtFlags, accessat},
        io::Errno,
    };
    match accessat(target.on_its_disk(), ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Err(e @ (Errno::ACCESS | Errno::ROFS)) => Err(super::refused_by_disk("write to", target.shown(), &e.into())),
        _ => Ok(()), // whatever else it may be, writing will tell
    }
}

#[cfg(not(unix))]
pub(super) fn check_writable(_target: &Target) -> Result<()> {
    Ok(())
}

/// Checks that `needed` bytes fit. What an earlier download of this share left behind counts as free: it is part
/// of this one, or will be removed.
pub(super) fn check_space(target: &Target, share: ShareId, needed: u64) -> Result<()> {
    let Some(free) = free_bytes(target.on_its_disk()) else { return Ok(()) };
    if needed <= free {
        return Ok(());
    }
    let free = free.saturating_add(target.folder().map_or(0, |dir| staging::left_behind(dir, share)));
    if needed <= free {
        return Ok(());
    }
    let message = format!("{} needed and {} free in {}: not enough space", bytes(needed), bytes(free), target.shown());
    Err(Error::new(Kind::Disk, message).hint("make space, or choose another disk with --out DIR"))
}

/// Bytes that this user may still write to the file system of `dir`; `None` where it does not say.
#[cfg(unix)]
fn free_bytes(dir: &Dir) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(dir).ok()?;
    // Some network and user-space file systems answer with nothing but zeros.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_dir: &Dir) -> Option<u64> {
    None
}
