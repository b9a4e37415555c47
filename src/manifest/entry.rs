//! The entries of a manifest.

use serde::{Deserialize, Serialize};

use super::safe_path::SafePath;

/// One file, folder or link of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path below the receiver's target folder.
    pub path: SafePath,
    /// Whether it is a file, a folder or a link.
    pub kind: EntryKind,
    /// Unix permission bits of the source (0o777). The receiver decides which of them to apply.
    pub mode: u32,
    /// The time of the last modification, if the source has one.
    pub mtime: Option<Mtime>,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// The size in bytes, or `None` if it is known only at the end. Only the single entry of a share of standard
        /// input may have such a size. Otherwise a sender could fill the disk with a share that looks small.
        size: Option<u64>,
    },
    /// A folder.
    Folder,
    /// A symbolic link to another place in the same share.
    Link {
        /// The target, relative to the folder that holds the link.
        target: String,
    },
}

/// The time of a modification, since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mtime {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after the whole second, 0 to 999,999,999.
    pub nanos: u32,
}

impl Entry {
    /// Returns the size of the content in bytes: 0 for folders and links, `None` if it is not known yet.
    pub fn size(&self) -> Option<u64> {
        match self.kind {
            EntryKind::File { size, .. } => size,
            EntryKind::Folder | EntryKind::Link { .. } => Some(0),
        }
    }

    /// Returns the target of a link.
    pub fn target(&self) -> Option<&str> {
        match &self.kind {
            EntryKind::Link { target } => Some(target),
            EntryKind::File { .. } | EntryKind::Folder => None,
        }
    }

    /// Whether this is a file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, EntryKind::File { .. })
    }
}
