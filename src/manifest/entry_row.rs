//! A view of one entry of a manifest. Unlike an [`Entry`], it allocates nothing.

use super::{
    entry::Entry,
    entry_table::{EntryTable, RowTag},
    safe_path::SafePath,
};

/// One entry of a manifest.
#[derive(Debug, Clone, Copy)]
pub struct EntryRow<'a> {
    pub(super) table: &'a EntryTable,
    pub(super) index: usize,
}

impl<'a> EntryRow<'a> {
    /// Returns the number of the entry.
    pub fn index(self) -> usize {
        self.index
    }

    /// Returns the last component of the path.
    pub fn name(self) -> &'a str {
        self.table.name(self.index)
    }

    /// Returns the folder that holds the entry; `None` at the top level.
    pub fn parent(self) -> Option<Self> {
        self.table.parent(self.index).map(|index| Self { index, ..self })
    }

    /// Returns whether this is a file.
    pub fn is_file(self) -> bool {
        matches!(self.table.tag(self.index), RowTag::File | RowTag::FileOfUnknownSize)
    }

    /// Returns whether this is a folder.
    pub fn is_folder(self) -> bool {
        self.table.tag(self.index) == RowTag::Folder
    }

    /// Returns whether this is a link.
    pub fn is_link(self) -> bool {
        self.table.tag(self.index) == RowTag::Link
    }

    /// Returns the size of the content in bytes: 0 for folders and links, `None` if it is unknown.
    pub fn size(self) -> Option<u64> {
        self.table.size(self.index)
    }

    /// Returns the permission bits.
    pub fn mode(self) -> u32 {
        self.table.mode(self.index)
    }

    /// Returns the target of a link; empty for any other entry.
    pub fn target(self) -> &'a str {
        self.table.target(self.index)
    }

    /// Returns the name, and the names of the folders above it, the innermost first.
    pub fn names_upwards(self) -> impl Iterator<Item = &'a str> {
        std::iter::successors(Some(self), |row| row.parent()).map(Self::name)
    }

    /// Returns the path.
    pub fn path(self) -> SafePath {
        let mut names: Vec<_> = self.names_upwards().collect();
        names.reverse();
        SafePath::from_checked(names.join("/"))
    }

    /// Returns the entry with its path.
    pub fn to_entry(self) -> Entry {
        self.table.entry(self.index, self.path())
    }
}
