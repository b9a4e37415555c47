//! The disk space that a folder takes.

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

/// The files below a folder, and the disk space that they take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiskUsage {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl DiskUsage {
    /// Adds up all files below `dir`. Files and folders that cannot be read are not counted.
    pub(super) fn of(dir: &Dir) -> Self {
        let Ok(entries) = dir.entries() else { return Self::default() };
        let usages = entries.flatten().map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => {
                dir.open_dir_nofollow(entry.file_name()).as_ref().map_or(Self::default(), Self::of)
            }
            Ok(meta) => Self { bytes: allocated_bytes(&meta), files: 1 },
            Err(_) => Self::default(),
        });
        usages.fold(Self::default(), |sum, usage| Self {
            bytes: sum.bytes.saturating_add(usage.bytes),
            files: sum.files + usage.files,
        })
    }
}

#[cfg(unix)]
fn allocated_bytes(meta: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::blocks(meta).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated_bytes(meta: &Metadata) -> u64 {
    meta.len()
}
