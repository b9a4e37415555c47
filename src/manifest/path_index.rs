//! The index of the paths of a manifest under construction.

use std::hash::{BuildHasher as _, RandomState};

use super::entry_table::EntryTable;

/// A slot without an entry.
const EMPTY: u32 = u32::MAX;

/// Finds an entry by its folder and its name.
///
/// The index is a hash table with open addressing whose slots contain entry numbers. The names are in the entry table,
/// so an entry takes at most 16 bytes here. The hash is keyed, so a sender cannot choose names with equal hashes.
#[derive(Debug)]
pub(super) struct PathIndex {
    /// The slots. Their number is a power of two, and at least half of them are empty.
    slots: Vec<u32>,
    random: RandomState,
    /// The last folder that was found, and its path. Most entries are in the same folder as their predecessor.
    latest: Option<(String, usize)>,
}

impl PathIndex {
    pub(super) fn new() -> Self {
        Self { slots: vec![EMPTY; 16], random: RandomState::new(), latest: None }
    }

    /// Returns the index of the entry at a path, if it exists.
    pub(super) fn find(&mut self, table: &EntryTable, path: &str) -> Option<usize> {
        if let Some((_, index)) = self.latest.as_ref().filter(|(latest, _)| latest == path) {
            return Some(*index);
        }
        let mut found = None;
        for name in path.split('/') {
            found = Some(self.slot_of(table, found, name).ok()?);
        }
        let found = found?;
        self.latest = Some((path.to_owned(), found));
        Some(found)
    }

    /// Adds the entry that will be appended to `table` with this folder and this name. Returns `false` if such an entry
    /// exists already.
    pub(super) fn insert(&mut self, table: &EntryTable, parent: Option<usize>, name: &str) -> bool {
        if (table.len() + 1) * 2 > self.slots.len() {
            self.grow(table);
        }
        match self.slot_of(table, parent, name) {
            Ok(_) => false,
            Err(slot) => {
                self.slots[slot] = table.len() as u32;
                true
            }
        }
    }

    /// Returns the index of the entry with this folder and this name, or else the slot for it.
    fn slot_of(&self, table: &EntryTable, parent: Option<usize>, name: &str) -> Result<usize, usize> {
        let mut slot = self.first_slot(parent, name);
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                index if table.parent(index as usize) == parent && table.name(index as usize) == name => {
                    return Ok(index as usize);
                }
                _ => slot = self.wrap(slot + 1),
            }
        }
    }

    fn first_slot(&self, parent: Option<usize>, name: &str) -> usize {
        self.wrap(self.random.hash_one((parent, name)) as usize)
    }

    fn wrap(&self, slot: usize) -> usize {
        slot & (self.slots.len() - 1)
    }

    fn grow(&mut self, table: &EntryTable) {
        self.slots = vec![EMPTY; self.slots.len() * 2];
        for index in 0..table.len() {
            let mut slot = self.first_slot(table.parent(index), table.name(index));
            while self.slots[slot] != EMPTY {
                slot = self.wrap(slot + 1);
            }
            self.slots[slot] = index as u32;
        }
    }
}
