//! The groups of a file: subtrees of 16 MiB of its BLAKE3 tree.
//!
//! BLAKE3 is a tree hash. The chaining value of a group identifies both its content and its position, and the chaining
//! values of all groups give the hash of the file. So a download that resumes hashes each staged byte once, on all
//! processors, and the chaining values show which group differs. (BLAKE3 paper, section 2.1; the functions are in
//! `blake3::hazmat`.)

use blake3::{
    Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

/// The size of a group in bytes. The last group of a file may be shorter.
pub const GROUP_SIZE: u64 = 16 * 1024 * 1024;

/// The BLAKE3 chaining value of a group.
pub type GroupHash = [u8; 32];

/// Returns the number of groups of a file of `bytes` bytes.
pub fn group_count(bytes: u64) -> u64 {
    bytes.div_ceil(GROUP_SIZE)
}

/// Returns a hasher for the content of group number `group`.
pub(super) fn hasher_of(group: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(group * GROUP_SIZE);
    hasher
}

/// Returns the hash of a file of at least two groups.
pub(super) fn hash_of(groups: &[GroupHash]) -> blake3::Hash {
    let (left, right) = split(groups);
    merge_subtrees_root(&chaining_value(left), &chaining_value(right), Mode::Hash)
}

/// Returns the chaining value of the subtree of one or more groups.
fn chaining_value(groups: &[GroupHash]) -> GroupHash {
    match groups {
        [one] => *one,
        more => {
            let (left, right) = split(more);
            merge_subtrees_non_root(&chaining_value(left), &chaining_value(right), Mode::Hash)
        }
    }
}

/// Splits groups into the two subtrees of their parent: the left one is the largest power of two that leaves at least
/// one group to the right.
fn split(groups: &[GroupHash]) -> (&[GroupHash], &[GroupHash]) {
    groups.split_at(groups.len().div_ceil(2).next_power_of_two())
}
