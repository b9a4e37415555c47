//! The files that a receiver requests, and what it has staged of them.

use std::collections::HashMap;

use crate::{
    disk::{GROUP_SIZE, GroupHash, Source, group_count},
    manifest::Entry,
    wire::{
        WireError,
        peer::{FileRequest, StagedGroups},
    },
};

/// The requested files, in the order of the manifest.
pub(super) struct RequestedFiles {
    /// Entry numbers.
    pub(super) files: Vec<u32>,
    pub(super) staged: StagedHashes,
    total_bytes: Option<u64>,
    staged_bytes: u64,
}

/// The hashes of the groups that the receiver has staged, by entry number.
#[derive(Debug, Default)]
pub(super) struct StagedHashes(HashMap<u32, Vec<GroupHash>>);

impl StagedHashes {
    /// Adds the next hashes of a file.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the message has no groups, or more than the entry has.
    pub(super) fn add(&mut self, source: &Source, staged: StagedGroups) -> Result<(), WireError> {
        let size = source.manifest().entries().get(staged.entry as usize).and_then(Entry::size);
        if staged.groups.is_empty() {
            return Err(WireError::Malformed);
        }
        let groups = self.0.entry(staged.entry).or_default();
        groups.extend(staged.groups);
        if size.is_some_and(|size| groups.len() as u64 <= group_count(size)) {
            Ok(())
        } else {
            Err(WireError::Malformed)
        }
    }

    /// Removes and returns the hashes of a file.
    pub(super) fn remove(&mut self, entry: u32) -> Option<Vec<GroupHash>> {
        self.0.remove(&entry)
    }

    /// Returns an upper bound for the bytes in the staged groups of a file.
    fn bytes(&self, entry: u32) -> u64 {
        self.0.get(&entry).map_or(0, |groups| groups.len() as u64 * GROUP_SIZE)
    }
}

impl RequestedFiles {
    /// Checks a request against the manifest.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the ranges are not in order or exceed the manifest.
    pub(super) fn new(source: &Source, request: &FileRequest, staged: StagedHashes) -> Result<Self, WireError> {
        let entries = source.manifest().entries();
        let mut end = 0;
        let mut requested = Self { files: Vec::new(), staged, total_bytes: Some(0), staged_bytes: 0 };
        for &(from, to) in &request.wanted {
            if from < end || to <= from || to as usize > entries.len() {
                return Err(WireError::Malformed);
            }
            end = to;
            for index in (from..to).filter(|i| entries[*i as usize].is_file()) {
                let size = entries[index as usize].size();
                requested.files.push(index);
                requested.total_bytes = requested.total_bytes.zip(size).map(|(sum, size)| sum + size);
                requested.staged_bytes += size.unwrap_or(0).min(requested.staged.bytes(index));
            }
        }
        Ok(requested)
    }

    /// Returns the bytes of the files that the receiver claims to have staged.
    pub(super) fn staged_bytes(&self) -> u64 {
        self.staged_bytes
    }

    /// Returns the sum of the sizes, if all are known.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }
}
