//! The checked manifest, and the header that precedes its entries.

use serde::{Deserialize, Serialize};

use super::{
    entries::Entries, entry::Entry, entry_row::EntryRow, entry_table::EntryTable, left_out::LeftOut,
    selected_entries::SelectedEntries, share_id::ShareId, share_kind::ShareKind,
};

/// The header of a manifest. With it, a receiver can refuse a manifest before it reads the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHeader {
    /// The share's identity.
    pub share: ShareId,
    /// The share's name as shown to users; not a path.
    pub name: String,
    /// The number of entries that follow.
    pub entries: u64,
    /// The bytes of all files that take no space on the sender's disk. A hint: the receiver needs that much less.
    pub holes: u64,
    /// What the share is.
    pub kind: ShareKind,
}

/// The entries of a share, or of the part that a receiver has selected ([`Manifest::select`]). Only a
/// [`ManifestBuilder`](super::ManifestBuilder) makes the manifest of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(super) share: ShareId,
    pub(super) name: String,
    pub(super) table: EntryTable,
    pub(super) files: u64,
    pub(super) bytes: Option<u64>,
    pub(super) holes: u64,
    pub(super) kind: ShareKind,
    pub(super) left_out: LeftOut,
    /// `None` if all entries of the share are in it.
    pub(super) selected: Option<SelectedEntries>,
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

    /// Returns what the share is.
    pub fn kind(&self) -> ShareKind {
        self.kind
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all entries with their paths. A folder precedes the entries in it.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(&self.table)
    }

    /// Returns entry number `index` with its path.
    pub fn entry(&self, index: usize) -> Option<Entry> {
        self.row(index).map(EntryRow::to_entry)
    }

    /// Returns all entries without their paths.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = EntryRow<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| EntryRow { table: &self.table, index })
    }

    /// Returns entry number `index` without its path.
    pub fn row(&self, index: usize) -> Option<EntryRow<'_>> {
        (index < self.len()).then_some(EntryRow { table: &self.table, index })
    }

    /// Returns the entries at the top level.
    pub fn top_level(&self) -> impl Iterator<Item = EntryRow<'_>> {
        self.rows().filter(|row| row.parent().is_none())
    }

    /// Returns the number of files.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Returns the sum of all sizes; `None` if one is not known yet.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Returns the bytes of all files that take no space on the sender's disk, as the sender says.
    pub fn holes(&self) -> u64 {
        self.holes
    }

    /// Returns the number of entries that the sender has left out.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Returns the header.
    pub fn header(&self) -> ManifestHeader {
        ManifestHeader {
            share: self.share,
            name: self.name.clone(),
            entries: self.len() as u64,
            holes: self.holes,
            kind: self.kind,
        }
    }
}
