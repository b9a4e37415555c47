//! Checks that a download fits and that the target folder is writable.

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::{disk_usage::DiskUsage, free_space::FreeSpace, target::Target};
use crate::{
    error::{Error, Kind, Result},
    manifest::{EntryRow, Manifest},
    text::{bytes, count, grouped},
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

/// The space that new entries take.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpaceNeeded {
    pub(super) bytes: u64,
    /// Files, folders and links: each takes an inode.
    pub(super) entries: u64,
}

impl SpaceNeeded {
    /// Adds up entries on a disk that allocates `unit` bytes at a time. A file of unknown size counts as empty.
    pub(super) fn of<'a>(entries: impl Iterator<Item = EntryRow<'a>>, unit: u64) -> Self {
        let allocated = |size: u64| size.checked_next_multiple_of(unit.max(1)).unwrap_or(u64::MAX);
        entries.fold(Self { bytes: 0, entries: 0 }, |sum, row| Self {
            bytes: sum.bytes.saturating_add(allocated(row.size().unwrap_or(0))),
            entries: sum.entries + 1,
        })
    }
}

/// Checks that new entries fit into the target. What an earlier download of this share has staged counts as free space,
/// because it is reused or removed.
///
/// # Errors
/// The same as [`check_space_of`].
pub(super) fn check_space(target: &Target, manifest: &Manifest, needed: SpaceNeeded) -> Result<()> {
    let name = target.staging_name(manifest);
    let staged = || target.folder().map_or(DiskUsage::default(), |base| staged_usage(base, &name));
    check_space_of(target.existing_folder(), &target.printable(), needed, staged)
}

/// Checks that new entries fit into `dir`, whose printable path is `path`. `reusable` takes space that becomes free.
///
/// # Errors
/// [`Kind::Disk`] with the needed and the free bytes or inodes.
pub(super) fn check_space_of(
    dir: &Dir,
    path: &str,
    needed: SpaceNeeded,
    reusable: impl FnOnce() -> DiskUsage,
) -> Result<()> {
    let free = FreeSpace::of(dir);
    if free.bytes.is_none_or(|free| needed.bytes <= free) && free.inodes.is_none_or(|free| needed.entries <= free) {
        return Ok(());
    }
    let reusable = reusable();
    let bytes_free = free.bytes.map(|free| free.saturating_add(reusable.bytes));
    let inodes_free = free.inodes.map(|free| free.saturating_add(reusable.entries));
    let message = match (bytes_free, inodes_free) {
        (Some(free), _) if needed.bytes > free => {
            format!("not enough space in {path}: {} needed, {} free", bytes(needed.bytes), bytes(free))
        }
        (_, Some(free)) if needed.entries > free => {
            let (needed, free) = (count(needed.entries, "file"), grouped(free));
            format!("not enough inodes in {path}: {needed} and folders, room for {free}")
        }
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Disk, message).hint("free up space, or use --out DIR to save to another disk"))
}

/// Returns what the staging folder `name` in `base` occupies.
pub(super) fn staged_usage(base: &Dir, name: &str) -> DiskUsage {
    base.open_dir_nofollow(name).map_or(DiskUsage::default(), |staging| DiskUsage::of(&staging))
}
