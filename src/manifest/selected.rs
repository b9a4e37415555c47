//! The selected part of a manifest.

use super::{contents::Manifest, entry_table::EntryTable, selected_entries::SelectedEntries};

impl Manifest {
    /// Returns the part of a whole manifest for which `is_selected` is set. A folder of a selected entry must be
    /// selected. `digest` identifies the selection.
    pub fn select(&self, is_selected: &[bool], digest: [u8; 32]) -> Self {
        let mut table = EntryTable::default();
        let mut new_index = vec![None; self.len()];
        let (mut numbers, mut files, mut bytes) = (Vec::new(), 0, Some(0));
        for row in self.rows().filter(|row| is_selected[row.index()]) {
            new_index[row.index()] = Some(table.len());
            table.copy_row(&self.table, row.index(), row.parent().and_then(|folder| new_index[folder.index()]));
            numbers.push(row.index() as u32);
            files += u64::from(row.is_file());
            bytes = bytes.zip(row.size()).map(|(sum, size)| sum + size); // the sum of all sizes does not overflow
        }
        table.shrink();
        // All data of the selection is part of all data of the share.
        let data = self.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(self.holes));
        let holes = bytes.map_or(0, |bytes: u64| bytes.saturating_sub(data));
        let others = (self.len() - numbers.len()) as u64;
        let selected = Some(SelectedEntries { numbers, others, digest });
        let (name, left_out) = (self.name.clone(), self.left_out.clone());
        Self { share: self.share, name, table, files, bytes, holes, kind: self.kind, left_out, selected }
    }

    /// Returns the number of an entry in the sender's manifest.
    pub fn number(&self, index: usize) -> u32 {
        self.selected.as_ref().and_then(|selected| selected.numbers.get(index).copied()).unwrap_or(index as u32)
    }

    /// Returns the entry with this number in the sender's manifest, if it is selected.
    pub fn index_of(&self, number: u32) -> Option<usize> {
        match &self.selected {
            Some(selected) => selected.numbers.binary_search(&number).ok(),
            None => Some(number as usize).filter(|index| *index < self.len()),
        }
    }

    /// Returns the number of entries of the share that are not selected.
    pub fn unselected(&self) -> u64 {
        self.selected.as_ref().map_or(0, |selected| selected.others)
    }

    /// Returns the text from which the name of the staging folder is made. Each selection from a share has another one,
    /// so that downloads of different selections never mix.
    pub fn staging_id(&self) -> String {
        let share = self.share.to_string();
        match &self.selected {
            Some(selected) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(share.as_bytes()).update(&selected.digest).finalize().to_hex().to_string()
            }
            None => share,
        }
    }
}
