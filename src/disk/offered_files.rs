//! The staged files whose groups the receiver offers to the sender.
//!
//! The receiver stores the hash of a group until the sender has confirmed that it is equal, or has started the file.
//! Groups that are equal become part of a [`GroupTree`], which is small. A bound on the groups without an answer
//! therefore bounds the memory.

use std::{collections::HashMap, sync::Arc};

use super::{
    groups::{GROUP_SIZE, GroupHash, GroupTree, group_count},
    staged_files::StagedFile,
};
use crate::sync::Mutex;

/// The staged files that the sender has not started. A handle: clones share them.
#[derive(Debug, Clone)]
pub(super) struct OfferedFiles(Arc<Mutex<Offers>>);

#[derive(Debug, Default)]
struct Offers {
    /// By the index of the entry.
    files: HashMap<usize, OfferedFile>,
    /// The number of groups of all files that have no answer.
    unanswered: usize,
}

/// A staged file, and its groups that are hashed.
#[derive(Debug)]
struct OfferedFile {
    bytes: u64,
    /// The first groups, which the sender has confirmed.
    equal: GroupTree,
    /// The groups after them.
    unanswered: Vec<GroupHash>,
}

impl OfferedFiles {
    /// Creates the offers of these files, of which no group is hashed.
    pub(super) fn new(staged: &[StagedFile]) -> Self {
        let offer = |bytes| OfferedFile { bytes, equal: GroupTree::default(), unanswered: Vec::new() };
        let files = staged.iter().map(|staged| (staged.index, offer(staged.bytes))).collect();
        Self(Arc::new(Mutex::new(Offers { files, unanswered: 0 })))
    }

    /// Whether the sender has not started this file.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.0.lock().files.contains_key(&index)
    }

    /// Returns the number of groups that have no answer.
    pub(super) fn unanswered_groups(&self) -> usize {
        self.0.lock().unanswered
    }

    /// Adds the next groups of a file. Returns `false` if the sender has started it.
    pub(super) fn add(&self, index: usize, groups: &[GroupHash]) -> bool {
        let Offers { files, unanswered } = &mut *self.0.lock();
        let Some(file) = files.get_mut(&index) else { return false };
        file.unanswered.extend_from_slice(groups);
        *unanswered += groups.len();
        true
    }

    /// Records that the first `groups` groups of a file are equal. Returns the number of newly confirmed groups, or
    /// `None` if fewer groups are offered or more are confirmed already.
    #[must_use]
    pub(super) fn confirm(&self, index: usize, groups: u64) -> Option<usize> {
        let Offers { files, unanswered } = &mut *self.0.lock();
        let file = files.get_mut(&index)?;
        let more = file.index_after(groups)?;
        file.equal.extend(file.unanswered.drain(..more));
        *unanswered -= more;
        Some(more)
    }

    /// Removes a file that the sender starts at `offset`. Returns the groups before it: none at offset 0, otherwise
    /// groups that are offered. Returns `None` for any other offset.
    pub(super) fn start(&self, index: usize, offset: u64) -> Option<GroupTree> {
        let Offers { files, unanswered } = &mut *self.0.lock();
        let file = files.remove(&index);
        *unanswered -= file.as_ref().map_or(0, |file| file.unanswered.len());
        if offset == 0 {
            return Some(GroupTree::default());
        }
        let mut file = file?;
        let is_boundary = offset == file.bytes || (offset < file.bytes && offset.is_multiple_of(GROUP_SIZE));
        let more = file.index_after(group_count(offset)).filter(|_| is_boundary)?;
        file.equal.extend(file.unanswered.drain(..more));
        Some(file.equal)
    }
}

impl OfferedFile {
    /// Returns how many of the groups without an answer belong to the first `groups` groups of the file; `None` if not
    /// all of those are offered, or more are confirmed.
    fn index_after(&self, groups: u64) -> Option<usize> {
        let more = usize::try_from(groups.checked_sub(self.equal.groups())?).ok()?;
        (more <= self.unanswered.len()).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: usize = 7;

    /// Returns the offer of a file of which three and a half groups are staged, and of these two are hashed.
    fn offers() -> OfferedFiles {
        let offers = OfferedFiles::new(&[StagedFile { index: INDEX, bytes: GROUP_SIZE / 2 * 7 }]);
        assert!(offers.add(INDEX, &[[1; 32], [2; 32]]));
        offers
    }

    fn tree(groups: &[GroupHash]) -> Option<blake3::Hash> {
        let mut tree = GroupTree::default();
        tree.extend(groups.iter().copied());
        tree.root()
    }

    #[test]
    fn only_offered_groups_can_be_confirmed_and_started_after() {
        let offers = offers();
        assert_eq!(
            [(INDEX, 3), (INDEX, u64::MAX), (1, 1)].map(|(index, groups)| offers.confirm(index, groups)),
            [None; 3]
        );
        assert_eq!([1, 1, 0].map(|groups| offers.confirm(INDEX, groups)), [Some(1), Some(0), None]);
        assert_eq!(offers.unanswered_groups(), 1);
        for refused in [1, GROUP_SIZE - 1, 3 * GROUP_SIZE, GROUP_SIZE / 2 * 7, u64::MAX] {
            assert!(self::offers().start(INDEX, refused).is_none(), "{refused}");
        }
        assert_eq!(offers.start(INDEX, 2 * GROUP_SIZE).unwrap().root(), tree(&[[1; 32], [2; 32]]));
        assert!(!offers.contains(INDEX) && !offers.add(INDEX, &[[3; 32]]) && offers.confirm(INDEX, 2).is_none());
        assert_eq!(offers.unanswered_groups(), 0);
        assert!(offers.start(INDEX, GROUP_SIZE).is_none() && offers.start(INDEX, 0).is_some());
    }

    #[test]
    fn a_file_starts_after_any_group_that_was_not_confirmed_and_at_its_end() {
        for (confirmed, groups) in [(0, 0), (0, 1), (0, 4), (2, 2), (2, 3), (4, 4)] {
            let (offers, all) = (offers(), [[1; 32], [2; 32], [3; 32], [4; 32]]);
            assert!(offers.add(INDEX, &all[2..]) && offers.confirm(INDEX, confirmed).is_some());
            let offset = (groups as u64 * GROUP_SIZE).min(GROUP_SIZE / 2 * 7);
            assert_eq!(offers.start(INDEX, offset).unwrap().root(), tree(&all[..groups]), "{confirmed}, {groups}");
        }
        let offers = offers();
        assert_eq!(offers.confirm(INDEX, 2), Some(2));
        assert!(offers.start(INDEX, GROUP_SIZE).is_none(), "before a confirmed group");
    }
}
