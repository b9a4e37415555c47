//! The groups of a file: subtrees of 1 MiB of its BLAKE3 tree.
//!
//! BLAKE3 is a tree hash. The chaining value of a group identifies both its content and its position, and the chaining
//! values of all groups give the hash of the file. So a download that resumes hashes each staged byte once, on all
//! processors, and the chaining values show which group differs. (BLAKE3 paper, section 2.1; the functions are in
//! `blake3::hazmat`.)

use blake3::{
    Hash, Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

/// The size of a group in bytes. The last group of a file may be shorter.
pub(crate) const GROUP_SIZE: u64 = 1024 * 1024;

/// The BLAKE3 chaining value of a group. For a file of one group, the BLAKE3 hash of the file.
pub(crate) type GroupHash = [u8; 32];

/// Returns the number of groups of a file of `bytes` bytes.
pub(crate) fn group_count(bytes: u64) -> u64 {
    bytes.div_ceil(GROUP_SIZE)
}

/// Returns a hasher for the content of group number `group`.
pub(super) fn hasher_of(group: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(group * GROUP_SIZE);
    hasher
}

/// The BLAKE3 tree of the first groups of a file. It holds the roots of its complete subtrees: 21 for a terabyte.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupTree {
    /// The subtrees from left to right.
    subtrees: Vec<GroupHash>,
    groups: u64,
}

impl GroupTree {
    /// Adds the next group.
    pub(super) fn push(&mut self, group: GroupHash) {
        // Subtrees of the same size are merged only now that a group follows them: the last merge gives the root.
        let equal_sizes = if self.groups == 0 { 0 } else { self.groups.trailing_zeros() };
        for _ in 0..equal_sizes {
            if let (Some(right), Some(left)) = (self.subtrees.pop(), self.subtrees.pop()) {
                self.subtrees.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
            }
        }
        self.subtrees.push(group);
        self.groups += 1;
    }

    /// Returns the number of groups.
    pub(super) fn groups(&self) -> u64 {
        self.groups
    }

    /// Returns the hash of the file whose groups are all in the tree; `None` if there are none.
    pub(super) fn root(&self) -> Option<Hash> {
        let (&last, left) = self.subtrees.split_last()?;
        let Some((first, middle)) = left.split_first() else { return Some(Hash::from_bytes(last)) };
        let right = middle.iter().rev().fold(last, |right, left| merge_subtrees_non_root(left, &right, Mode::Hash));
        Some(merge_subtrees_root(first, &right, Mode::Hash))
    }
}

impl Extend<GroupHash> for GroupTree {
    fn extend<I: IntoIterator<Item = GroupHash>>(&mut self, groups: I) {
        groups.into_iter().for_each(|group| self.push(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_small_and_has_the_hash_of_the_file() {
        let content: Vec<u8> = (0..21 * GROUP_SIZE).map(|i| (i / 977 * 31 + i) as u8).collect();
        let mut tree = GroupTree::default();
        assert_eq!(tree.root(), None);
        for (group, bytes) in content.chunks(GROUP_SIZE as usize).enumerate() {
            tree.push(hasher_of(group as u64).update(bytes).finalize_non_root());
            let groups = group as u64 + 1;
            assert_eq!(tree.groups(), groups);
            assert!(tree.subtrees.len() <= 1 + groups.ilog2() as usize, "{groups} groups");
            if groups > 1 {
                assert_eq!(tree.root(), Some(blake3::hash(&content[..(groups * GROUP_SIZE) as usize])));
            }
        }
        let mut tree = GroupTree::default();
        tree.push(*blake3::hash(b"one group").as_bytes());
        assert_eq!(tree.root(), Some(blake3::hash(b"one group")));
    }
}
