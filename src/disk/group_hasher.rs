//! Hashes the content of a file as it streams past.

use blake3::{Hasher, hazmat::HasherExt as _};

use super::groups::{GROUP_SIZE, GroupTree, hasher_of};

/// Hashes a file from the end of its first groups, in any number of steps.
#[derive(Debug, Clone)]
pub(super) struct GroupHasher {
    /// The groups before the current one.
    before: GroupTree,
    current: Hasher,
    current_bytes: u64,
}

impl GroupHasher {
    /// Starts after these groups: whole groups, or all groups of the file.
    pub(super) fn after(before: GroupTree) -> Self {
        let current = hasher_of(before.groups());
        Self { before, current, current_bytes: 0 }
    }

    /// Hashes the next bytes.
    pub(super) fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            // Not earlier: if the current group is the only one, it is the root of the tree.
            if self.current_bytes == GROUP_SIZE {
                self.before.push(self.current.finalize_non_root());
                (self.current, self.current_bytes) = (hasher_of(self.before.groups()), 0);
            }
            let (now, later) = data.split_at(data.len().min((GROUP_SIZE - self.current_bytes) as usize));
            self.current.update(now);
            self.current_bytes += now.len() as u64;
            data = later;
        }
    }

    /// Returns the BLAKE3 hash of all bytes.
    pub(super) fn finalize(&self) -> blake3::Hash {
        let mut all = self.before.clone();
        if self.current_bytes > 0 && all.groups() > 0 {
            all.push(self.current.finalize_non_root());
        }
        all.root().unwrap_or_else(|| self.current.finalize())
    }
}

impl Default for GroupHasher {
    fn default() -> Self {
        Self::after(GroupTree::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_stream_is_the_hash_of_its_bytes() {
        let all: Vec<u8> = (0..5 * GROUP_SIZE + 3).map(|i| (i / 977 * 31 + i) as u8).collect();
        for length in [0, 1, GROUP_SIZE - 1, GROUP_SIZE, GROUP_SIZE + 1, 4 * GROUP_SIZE, 5 * GROUP_SIZE + 3] {
            let bytes = &all[..length as usize];
            let mut hasher = GroupHasher::default();
            bytes.chunks(1_000_003).for_each(|part| hasher.update(part));
            assert_eq!(hasher.finalize(), blake3::hash(bytes), "{length}");
        }
    }
}
