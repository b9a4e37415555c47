//! Content that is held in memory: a text, and files whose metadata does not give their size, such as those in `/proc`
//! and `/sys`.
//!
//! Such a file claims 0 bytes, or a page that takes no space. It is read to its end when it is scanned, and this
//! content is shared: another read may return another.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Read as _},
    sync::Arc,
};

use cap_std::fs::Metadata;

/// The longest content of a file without a size, in bytes.
pub(super) const MAX_CONTENT: usize = 1024 * 1024;

/// The most bytes that a scan holds of all files without a size.
const MAX_TOTAL: usize = 16 * MAX_CONTENT;

/// The size that files in `/sys` claim.
const PAGE: u64 = 4096;

/// The content of files without a size, by the index of their entry.
#[derive(Debug, Default)]
pub(super) struct UnsizedContent {
    files: HashMap<usize, Arc<[u8]>>,
    total: usize,
}

/// What one read of a file shows.
pub(super) enum Probe {
    /// Its metadata gives its size.
    Sized(Metadata),
    /// Its metadata does not give the size of this content.
    Unsized(Metadata, Arc<[u8]>),
    /// Its metadata does not give its size, and it is longer than [`MAX_CONTENT`].
    TooLong,
}

impl UnsizedContent {
    /// Adds the content of entry `index`. Returns `false` if that would exceed the limit for all files.
    pub(super) fn add(&mut self, index: usize, content: Arc<[u8]>) -> bool {
        if self.total + content.len() > MAX_TOTAL {
            return false;
        }
        self.total += content.len();
        self.files.insert(index, content);
        true
    }

    /// Returns the content of entry `index`, if it has no size.
    pub(super) fn get(&self, index: usize) -> Option<&Arc<[u8]>> {
        self.files.get(&index)
    }
}

/// The disks that give the true size of every file, by device.
#[derive(Debug, Default)]
pub(super) struct SizedDisks(HashSet<u64>);

impl SizedDisks {
    /// Whether the size of a file is believed only after a read.
    pub(super) fn must_read(&self, meta: &Metadata) -> bool {
        is_suspect(meta) && !self.0.contains(&device(meta))
    }

    /// Notes the disk of an open file, so that later empty files on it need no read.
    pub(super) fn note(&mut self, meta: &Metadata, file: &fs::File) {
        if stores_sizes(file) {
            self.0.insert(device(meta));
        }
    }
}

/// Whether the file system stores the size of every file with its data. Of the others, some compute content on demand,
/// and programs in user space may do so, too.
#[cfg(target_os = "linux")]
fn stores_sizes(file: &fs::File) -> bool {
    // bcachefs, Btrfs, exFAT, ext2 to ext4, F2FS, FAT, NFS, NTFS, overlayfs, ramfs, tmpfs, XFS, ZFS: statfs(2).
    const TYPES: [u32; 13] = [
        0xca45_1a4e,
        0x9123_683e,
        0x2011_bab0,
        0xef53,
        0xf2f5_2010,
        0x4d44,
        0x6969,
        0x7366_746e,
        0x794c_7630,
        0x8584_58f6,
        0x0102_1994,
        0x5846_5342,
        0x2fc1_2fc1,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|disk| TYPES.contains(&(disk.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn stores_sizes(_file: &fs::File) -> bool {
    false
}

#[cfg(unix)]
fn device(meta: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::dev(meta)
}

#[cfg(not(unix))]
fn device(_meta: &Metadata) -> u64 {
    0
}

fn is_suspect(meta: &Metadata) -> bool {
    meta.len() == 0 || (meta.len() == PAGE && has_no_blocks(meta))
}

/// Reads a file of suspect size.
///
/// # Errors
/// Any I/O error.
pub(super) fn probe(file: &fs::File) -> io::Result<Probe> {
    let mut content = Vec::new();
    file.take(MAX_CONTENT as u64 + 1).read_to_end(&mut content)?;
    let meta = Metadata::from_file(file)?; // after the read: the file may have grown since the scan
    Ok(if meta.len() == content.len() as u64 || !is_suspect(&meta) {
        Probe::Sized(meta)
    } else if content.len() <= MAX_CONTENT {
        Probe::Unsized(meta, content.into())
    } else {
        Probe::TooLong
    })
}

#[cfg(unix)]
fn has_no_blocks(meta: &Metadata) -> bool {
    cap_std::fs::MetadataExt::blocks(meta) == 0
}

#[cfg(not(unix))]
fn has_no_blocks(_meta: &Metadata) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn files_in_proc_are_read_again_and_again() {
        let mut disks = SizedDisks::default();
        let file = fs::File::open("/proc/self/status").unwrap();
        let meta = Metadata::from_file(&file).unwrap();
        disks.note(&meta, &file);
        assert!(disks.must_read(&meta));
    }

    #[test]
    fn one_read_decides_for_the_empty_files_of_a_disk() {
        let mut disks = SizedDisks::default();
        let file = tempfile::tempfile().unwrap();
        let meta = Metadata::from_file(&file).unwrap();
        assert!(disks.must_read(&meta));
        disks.note(&meta, &file);
        assert_eq!(disks.must_read(&meta), !stores_sizes(&file));
    }
}
