//! The checked manifest, and the header that precedes its entries.

use serde::{Deserialize, Serialize};

use super::{entry::Entry, share_id::ShareId};

/// The header of a manifest. With it, a receiver can refuse a manifest before it reads the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHeader {
    /// The share's identity.
    pub share: ShareId,
    /// The share's name as shown to users; not a path.
    pub name: String,
    /// The number of entries that follow.
    pub entries: u64,
}

/// The entries of a share. Only a [`ManifestBuilder`](super::ManifestBuilder) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(super) share: ShareId,
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    pub(super) files: u64,
    pub(super) bytes: Option<u64>,
}

impl Manifest {
    /// Returns the share's identity.
    pub fn share(&self) -> ShareId {
        self.share
    }

    /// Returns the share's name. It may hold any character: pass it through [`crate::text::visible`] before showing it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns all entries. A folder precedes the entries in it.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the number of files.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Returns the sum of all sizes; `None` if one is not known yet.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Returns the header.
    pub fn header(&self) -> ManifestHeader {
        ManifestHeader { share: self.share, name: self.name.clone(), entries: self.entries.len() as u64 }
    }
}
