//! Files whose metadata does not give their size, such as those in `/proc` and `/sys`.
//!
//! Such a file claims 0 bytes, or a page that takes no space. It is read to its end when it is scanned, and this
//! content is shared: another read may return another.

use std::{
    collections::HashMap,
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

/// Whether the size of a file is believed only after a read.
pub(super) fn is_suspect(meta: &Metadata) -> bool {
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
