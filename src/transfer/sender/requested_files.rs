//! The files that a receiver requests, and how much of them it has staged.

use std::collections::HashSet;

use crate::{
    disk::{GROUP_SIZE, Source},
    manifest::EntryRow,
    wire::{
        WireError,
        peer::{FileRequest, MAX_STAGED_FILES, StagedFiles},
    },
};

/// The requested files.
pub(super) struct RequestedFiles {
    /// The entry numbers of the files that are not staged, in the order of the manifest.
    pub(super) unstaged: Vec<u32>,
    /// The files that are staged completely or in part, in the order in which the receiver offers them.
    pub(super) staged: Vec<StagedFile>,
    total_bytes: Option<u64>,
}

/// A file that the receiver has staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StagedFile {
    /// The number of its entry.
    pub(super) entry: u32,
    /// The staged part: whole groups, or the whole file.
    pub(super) bytes: u64,
}

/// The receiver's list of staged files.
#[derive(Debug, Default)]
pub(super) struct StagedList {
    files: Vec<StagedFile>,
    /// Their entry numbers.
    entries: HashSet<u32>,
}

impl StagedList {
    /// Adds the next files.
    ///
    /// # Errors
    /// [`WireError`] if the message has no file or too many, an entry that is not a file or occurs twice, or a length
    /// that is neither a multiple of the group size nor the size of the file.
    pub(super) fn add(&mut self, source: &Source, staged: StagedFiles) -> Result<(), WireError> {
        if staged.files.is_empty() || staged.files.len() > MAX_STAGED_FILES {
            return Err(WireError::Malformed);
        }
        for (entry, bytes) in staged.files {
            let size = source.manifest().row(entry as usize).and_then(EntryRow::size).unwrap_or(0);
            let is_possible = bytes == size || (bytes < size && bytes.is_multiple_of(GROUP_SIZE));
            if bytes == 0 || !is_possible || !self.entries.insert(entry) {
                return Err(WireError::Malformed);
            }
            self.files.push(StagedFile { entry, bytes });
        }
        Ok(())
    }
}

impl RequestedFiles {
    /// Checks a request against the manifest.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the ranges are not in order or exceed the manifest, or a staged file is not
    /// requested.
    pub(super) fn new(source: &Source, request: &FileRequest, mut staged: StagedList) -> Result<Self, WireError> {
        let manifest = source.manifest();
        let mut end = 0;
        let mut requested = Self { unstaged: Vec::new(), staged: staged.files, total_bytes: Some(0) };
        for &(from, to) in &request.wanted {
            if from < end || to <= from || to as usize > manifest.len() {
                return Err(WireError::Malformed);
            }
            end = to;
            let rows = (from..to).filter_map(|index| manifest.row(index as usize));
            for file in rows.filter(|row| row.is_file()) {
                let (index, size) = (file.index() as u32, file.size());
                requested.total_bytes = requested.total_bytes.zip(size).map(|(sum, size)| sum + size);
                if !staged.entries.remove(&index) {
                    requested.unstaged.push(index);
                }
            }
        }
        if staged.entries.is_empty() { Ok(requested) } else { Err(WireError::Malformed) }
    }

    /// Returns the bytes of the files that the receiver claims to have staged.
    pub(super) fn staged_bytes(&self) -> u64 {
        self.staged.iter().map(|file| file.bytes).sum()
    }

    /// Returns the number of files.
    pub(super) fn count(&self) -> u64 {
        (self.unstaged.len() + self.staged.len()) as u64
    }

    /// Returns the sum of the sizes, if all are known.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }
}
