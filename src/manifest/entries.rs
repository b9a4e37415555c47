//! Iterates over the entries of a manifest with their paths.

use super::{entry::Entry, entry_row::EntryRow, entry_table::EntryTable, safe_path::SafePath};

/// An iterator over the entries of a manifest, in order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    table: &'a EntryTable,
    next: usize,
    /// The folder of the latest entry, and its path. Most entries are in the same folder as their predecessor.
    folder: Option<usize>,
    folder_path: String,
}

impl<'a> Entries<'a> {
    pub(super) fn new(table: &'a EntryTable) -> Self {
        Self { table, next: 0, folder: None, folder_path: String::new() }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.next == self.table.len() {
            return None;
        }
        let row = EntryRow { table: self.table, index: self.next };
        self.next += 1;
        let folder = row.parent();
        if folder.map(|folder| folder.index) != self.folder {
            self.folder = folder.map(|folder| folder.index);
            self.folder_path = folder.map_or_else(String::new, |folder| folder.path().as_str().to_owned());
        }
        let mut path = String::with_capacity(self.folder_path.len() + 1 + row.name().len());
        path.push_str(&self.folder_path);
        if folder.is_some() {
            path.push('/');
        }
        path.push_str(row.name());
        Some(self.table.entry(row.index, SafePath::from_checked(path)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.table.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
