//! The disk space that files take.

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

/// Everything below a folder, and the disk space that it takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskUsage {
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// Files, folders and links: each takes an inode.
    pub(super) entries: u64,
}

impl DiskUsage {
    /// Adds up everything below `dir`. What cannot be read is not counted.
    pub(super) fn of(dir: &Dir) -> Self {
        let Ok(entries) = dir.entries() else { return Self::default() };
        let usages = entries.flatten().map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => {
                let below = dir.open_dir_nofollow(entry.file_name()).as_ref().map_or(Self::default(), Self::of);
                Self { entries: below.entries + 1, ..below }
            }
            Ok(meta) => Self { bytes: allocated_bytes(&meta), files: 1, entries: 1 },
            Err(_) => Self::default(),
        });
        usages.fold(Self::default(), |sum, usage| Self {
            bytes: sum.bytes.saturating_add(usage.bytes),
            files: sum.files + usage.files,
            entries: sum.entries + usage.entries,
        })
    }
}

/// Returns the number of bytes of a file that take no space on its disk. 0 for anything else.
pub(super) fn hole_bytes(meta: &Metadata) -> u64 {
    if meta.is_file() { meta.len().saturating_sub(allocated_bytes(meta)) } else { 0 }
}

#[cfg(unix)]
fn allocated_bytes(meta: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::blocks(meta).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated_bytes(meta: &Metadata) -> u64 {
    meta.len()
}
