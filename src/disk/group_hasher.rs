//! Hashes a file group by group.

use std::{
    fs, io,
    num::NonZeroUsize,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use blake3::{Hasher, hazmat::HasherExt as _};

use super::{
    groups::{GROUP_SIZE, GroupHash, group_count, hash_of, hasher_of},
    hash_progress::HashProgress,
    read_at::read_at,
};

/// The size of the read buffers in bytes.
const BUFFER_SIZE: usize = 256 * 1024;

/// Hashes a file from its beginning, in any number of steps.
#[derive(Debug, Clone)]
pub(super) struct GroupHasher {
    /// The hashes of the groups before the current one.
    full_groups: Vec<GroupHash>,
    current: Hasher,
    current_bytes: u64,
}

impl GroupHasher {
    /// Starts after `full_groups`, which must be whole groups. At least one more byte must follow.
    pub(super) fn after(full_groups: Vec<GroupHash>) -> Self {
        let current = hasher_of(full_groups.len() as u64);
        Self { full_groups, current, current_bytes: 0 }
    }

    /// Hashes the next bytes.
    pub(super) fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            self.close_full_group();
            let room = usize::try_from(GROUP_SIZE - self.current_bytes).unwrap_or(usize::MAX);
            let (now, later) = data.split_at(data.len().min(room));
            self.current.update(now);
            self.current_bytes += now.len() as u64;
            data = later;
        }
    }

    /// Hashes the next bytes of `file`, up to the offset `end`. Whole groups are hashed on all processors.
    ///
    /// # Errors
    /// Any I/O error, [`io::ErrorKind::UnexpectedEof`] if the file is shorter, and an error if `progress` is cancelled.
    /// Then only some of the bytes are hashed.
    pub(super) fn read_until(&mut self, end: u64, file: &fs::File, progress: &HashProgress) -> io::Result<()> {
        self.read_in_order(end.min(self.position().next_multiple_of(GROUP_SIZE)), file, progress)?;
        // The last group is not finalized here: if it is the only one, it is the root of the tree.
        let last = group_count(end).saturating_sub(1);
        let next = group_count(self.position());
        if next < last {
            self.close_full_group();
            self.full_groups.extend(hash_groups(file, next..last, progress)?);
            self.current = hasher_of(last);
        }
        self.read_in_order(end, file, progress)
    }

    fn read_in_order(&mut self, end: u64, file: &fs::File, progress: &HashProgress) -> io::Result<()> {
        read_blocks(file, self.position()..end, &mut vec![0; BUFFER_SIZE], progress, |block| self.update(block))
    }

    /// Returns the number of bytes that are hashed.
    fn position(&self) -> u64 {
        self.full_groups.len() as u64 * GROUP_SIZE + self.current_bytes
    }

    /// Starts a new group if the current one is full.
    fn close_full_group(&mut self) {
        if self.current_bytes == GROUP_SIZE {
            self.full_groups.push(self.current.finalize_non_root());
            (self.current, self.current_bytes) = (hasher_of(self.full_groups.len() as u64), 0);
        }
    }

    /// Returns the hashes of all groups; the last one may be incomplete.
    pub(super) fn groups(&self) -> Vec<GroupHash> {
        let mut groups = self.full_groups.clone();
        if self.current_bytes > 0 {
            groups.push(self.current.finalize_non_root());
        }
        groups
    }

    /// Discards everything after the first `groups` groups, which must be whole. At least one more byte must follow.
    pub(super) fn truncate(&mut self, groups: usize) {
        if self.full_groups.len() < groups {
            self.close_full_group();
        }
        self.full_groups.truncate(groups);
        *self = Self::after(std::mem::take(&mut self.full_groups));
    }

    /// Returns the BLAKE3 hash of all bytes.
    pub(super) fn finalize(&self) -> blake3::Hash {
        if self.full_groups.is_empty() { self.current.finalize() } else { hash_of(&self.groups()) }
    }
}

impl Default for GroupHasher {
    fn default() -> Self {
        Self::after(Vec::new())
    }
}

/// Hashes whole groups of a file, on all processors.
fn hash_groups(file: &fs::File, groups: Range<u64>, progress: &HashProgress) -> io::Result<Vec<GroupHash>> {
    let next = AtomicU64::new(groups.start);
    let work = || {
        let (mut hashes, mut buffer) = (Vec::new(), vec![0; BUFFER_SIZE]);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= groups.end {
                return Ok(hashes);
            }
            let mut hasher = hasher_of(group);
            let hash = |block: &[u8]| {
                hasher.update(block);
            };
            if let Err(e) = read_blocks(file, group * GROUP_SIZE..(group + 1) * GROUP_SIZE, &mut buffer, progress, hash)
            {
                next.store(groups.end, Ordering::Relaxed); // stops the other threads
                return Err(e);
            }
            hashes.push((group, hasher.finalize_non_root()));
        }
    };
    let threads =
        thread::available_parallelism().map_or(1, NonZeroUsize::get).min((groups.end - groups.start) as usize);
    let results: Vec<io::Result<Vec<(u64, GroupHash)>>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a hashing thread panicked")))
        };
        std::iter::once(work()).chain(others.into_iter().map(join)).collect()
    });
    let mut all = Vec::new();
    for hashes in results {
        all.append(&mut hashes?);
    }
    all.sort_unstable_by_key(|(group, _)| *group);
    Ok(all.into_iter().map(|(_, hash)| hash).collect())
}

/// Reads a range of a file in order and passes each block to `use_block`. Fails if `progress` is cancelled.
fn read_blocks(
    file: &fs::File,
    range: Range<u64>,
    buffer: &mut [u8],
    progress: &HashProgress,
    mut use_block: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let max = buffer.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
        match read_at(file, offset, &mut buffer[..max]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                use_block(&buffer[..read]);
                offset += read as u64;
                progress.add(read)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Returns bytes that differ from group to group.
    fn content(length: u64) -> Vec<u8> {
        (0..length).map(|i| (i / 977 * 31 + i) as u8).collect()
    }

    #[test]
    fn the_groups_give_the_hash_of_the_file() {
        let all = content(5 * GROUP_SIZE + 3);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&all).unwrap();
        for length in [
            0,
            1,
            1025,
            GROUP_SIZE - 1,
            GROUP_SIZE,
            GROUP_SIZE + 1,
            2 * GROUP_SIZE,
            3 * GROUP_SIZE,
            4 * GROUP_SIZE + 5,
            5 * GROUP_SIZE + 3,
        ] {
            let bytes = &all[..length as usize];
            let hash = blake3::hash(bytes);
            let mut updated = GroupHasher::default();
            bytes.chunks(1_000_003).for_each(|part| updated.update(part));
            assert_eq!(updated.finalize(), hash, "{length}");
            assert_eq!(updated.groups().len() as u64, group_count(length));
            for steps in [vec![length], vec![length / 2, length], vec![length.min(GROUP_SIZE), length]] {
                let mut read = GroupHasher::default();
                steps.iter().for_each(|end| read.read_until(*end, &file, &HashProgress::default()).unwrap());
                assert_eq!((read.finalize(), read.groups()), (hash, updated.groups()), "{length} by {steps:?}");
            }
            for group in 0..length.div_ceil(GROUP_SIZE) as usize {
                let mut truncated = updated.clone();
                truncated.truncate(group);
                truncated.update(&bytes[group * GROUP_SIZE as usize..]);
                assert_eq!(truncated.finalize(), hash, "from group {group} of {length}");
            }
        }
    }

    #[test]
    fn equal_groups_at_different_positions_have_different_hashes() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 * GROUP_SIZE as usize]).unwrap();
        let mut hasher = GroupHasher::default();
        let progress = HashProgress::default();
        hasher.read_until(2 * GROUP_SIZE, &file, &progress).unwrap();
        assert_ne!(hasher.groups()[0], hasher.groups()[1]);
        assert_eq!(progress.bytes(), 2 * GROUP_SIZE);
    }

    #[test]
    fn reading_fails_at_the_end_of_the_file_and_when_cancelled() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 * GROUP_SIZE as usize]).unwrap();
        let progress = HashProgress::default();
        let e = GroupHasher::default().read_until(4 * GROUP_SIZE, &file, &progress).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
        drop(progress.cancel_on_drop());
        GroupHasher::default().read_until(2 * GROUP_SIZE, &file, &progress).unwrap_err();
    }
}
