//! Compares a shared file with what a receiver has staged of it.

use super::{
    groups::{GroupHash, GroupTree, group_count},
    hash_progress::HashProgress,
    source_file::{SourceError, SourceFile},
};

/// A shared file, and the part of it that equals what a receiver has staged. Groups are compared in pages, so a file of
/// any size needs the memory of one page.
#[derive(Debug)]
pub(crate) struct Comparison {
    file: SourceFile,
    /// The number of groups of the file that the receiver has staged.
    staged: u64,
    /// The groups that are equal at both ends.
    equal: GroupTree,
    /// The hashes of the next groups at this end.
    page: Vec<GroupHash>,
}

/// Whether a comparison continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComparisonState {
    /// All groups so far are equal, and the receiver has staged more.
    Equal,
    /// A group differs, or all staged groups are equal.
    Decided,
}

impl Comparison {
    /// Starts to compare a file of which a receiver has staged the first `staged_bytes` bytes: whole groups, or the
    /// whole file.
    pub(crate) fn new(file: SourceFile, staged_bytes: u64) -> Self {
        let staged = group_count(staged_bytes.min(file.size()));
        Self { file, staged, equal: GroupTree::default(), page: Vec::new() }
    }

    /// Hashes the next staged groups at this end, at most `max` of them.
    ///
    /// # Errors
    /// [`SourceError`] if it became shorter or cannot be read, or the hashing was cancelled.
    pub(crate) fn hash_page(&mut self, max: usize, progress: &HashProgress) -> Result<(), SourceError> {
        let start = self.equal.groups();
        self.page = self.file.hash_groups(start..self.staged.min(start + max as u64), progress)?;
        Ok(())
    }

    /// Compares the groups that were hashed last with those of the receiver.
    pub(crate) fn compare_page(&mut self, theirs: &[GroupHash]) -> ComparisonState {
        let equal = self.page.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
        self.equal.extend(self.page.drain(..equal));
        if self.page.is_empty() && self.equal.groups() < self.staged {
            ComparisonState::Equal
        } else {
            ComparisonState::Decided
        }
    }

    /// Returns the number of groups that are known to be equal.
    pub(crate) fn equal_groups(&self) -> u64 {
        self.equal.groups()
    }

    /// Returns the file, which is read from the first group that differs, and the offset of that group; the length of
    /// the file if none does.
    pub(crate) fn into_file(self) -> (SourceFile, u64) {
        let Self { mut file, equal, .. } = self;
        let offset = file.skip(equal);
        (file, offset)
    }
}
