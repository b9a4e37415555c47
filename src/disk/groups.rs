//! The BLAKE3 of a file by groups of 16 MiB.
//!
//! BLAKE3 is a tree, and a group is a subtree of it: its *chaining value* says what is in the group and where the group
//! lies, and the values of all groups make the hash of the file. So whoever goes on with a part of a file hashes each
//! byte once, on all processors, and a group that differs is found by its value. (BLAKE3 paper, section 2.1; the functions
//! are blake3's `hazmat`.)

use std::{
    fs, io,
    num::NonZeroUsize,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use blake3::{
    Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use super::{hash_progress::HashProgress, shared_read::read_at};

/// Bytes of a group; the last one of a file is shorter.
pub const GROUP_SIZE: u64 = 16 * 1024 * 1024;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// What a group is known by.
pub type GroupHash = [u8; 32];

/// How many groups so many bytes have.
pub fn count(bytes: u64) -> u64 {
    bytes.div_ceil(GROUP_SIZE)
}

/// Hashes a file from its beginning, in parts.
#[derive(Debug, Clone)]
pub(super) struct GroupHasher {
    /// Of the groups before the current one.
    done: Vec<GroupHash>,
    current: Hasher,
    in_current: u64,
}

impl GroupHasher {
    /// Goes on behind these groups, all of them whole. Something must follow.
    pub(super) fn behind(done: Vec<GroupHash>) -> Self {
        let current = hasher_of(done.len() as u64);
        Self { done, current, in_current: 0 }
    }

    /// The bytes that follow.
    pub(super) fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            self.turn_page();
            let room = usize::try_from(GROUP_SIZE - self.in_current).unwrap_or(usize::MAX);
            let (now, later) = data.split_at(data.len().min(room));
            self.current.update(now);
            self.in_current += now.len() as u64;
            data = later;
        }
    }

    /// The bytes that follow, up to the offset `end`, from the file itself; whole groups on all processors at once.
    ///
    /// # Errors
    /// What reading says, [`io::ErrorKind::UnexpectedEof`] for a file that is shorter, and where nobody waits any more. Then
    /// no more than some of them were taken.
    pub(super) fn read(&mut self, file: &fs::File, end: u64, check: &HashProgress) -> io::Result<()> {
        // The current group, as far as it goes, and after the others the last one: it may be the root.
        self.read_in_order(file, end.min(self.taken().next_multiple_of(GROUP_SIZE)), check)?;
        let last = count(end).saturating_sub(1);
        let next = count(self.taken());
        if next < last {
            self.turn_page();
            self.done.extend(hash_groups(file, next..last, check)?);
            self.current = hasher_of(last);
        }
        self.read_in_order(file, end, check)
    }

    fn read_in_order(&mut self, file: &fs::File, end: u64, check: &HashProgress) -> io::Result<()> {
        read_each(file, self.taken()..end, &mut vec![0; BUFFER], check, |bytes| self.update(bytes))
    }

    /// Bytes so far.
    fn taken(&self) -> u64 {
        self.done.len() as u64 * GROUP_SIZE + self.in_current
    }

    /// Begins another group where the current one is full.
    fn turn_page(&mut self) {
        if self.in_current == GROUP_SIZE {
            self.done.push(self.current.finalize_non_root());
            (self.current, self.in_current) = (hasher_of(self.done.len() as u64), 0);
        }
    }

    /// The hashes of all groups so far, the last one of what there is of it.
    pub(super) fn groups(&self) -> Vec<GroupHash> {
        let mut groups = self.done.clone();
        if self.in_current > 0 {
            groups.push(self.current.finalize_non_root());
        }
        groups
    }

    /// Forgets all but so many whole groups. Something must follow.
    pub(super) fn truncate(&mut self, groups: usize) {
        if self.done.len() < groups {
            self.turn_page();
        }
        self.done.truncate(groups);
        *self = Self::behind(std::mem::take(&mut self.done));
    }

    /// The BLAKE3 of all bytes so far.
    pub(super) fn finalize(&self) -> blake3::Hash {
        if self.done.is_empty() { self.current.finalize() } else { root(&self.groups()) }
    }
}

impl Default for GroupHasher {
    fn default() -> Self {
        Self::behind(Vec::new())
    }
}

/// The hash of a file of more than one group, from the hashes of all of them.
fn root(groups: &[GroupHash]) -> blake3::Hash {
    let (left, right) = halves(groups);
    merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash)
}

fn subtree(groups: &[GroupHash]) -> GroupHash {
    match groups {
        [one] => *one,
        more => {
            let (left, right) = halves(more);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The left half is the largest power of two that leaves something for the right one.
fn halves(groups: &[GroupHash]) -> (&[GroupHash], &[GroupHash]) {
    groups.split_at(groups.len().div_ceil(2).next_power_of_two())
}

fn hasher_of(group: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(group * GROUP_SIZE);
    hasher
}

/// The hashes of whole groups of a file, on all processors.
fn hash_groups(file: &fs::File, range: Range<u64>, check: &HashProgress) -> io::Result<Vec<GroupHash>> {
    let next = AtomicU64::new(range.start);
    let work = || {
        let (mut found, mut buffer) = (Vec::new(), vec![0; BUFFER]);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= range.end {
                return Ok(found);
            }
            let mut hasher = hasher_of(group);
            let hash = |bytes: &[u8]| {
                hasher.update(bytes);
            };
            if let Err(e) = read_each(file, group * GROUP_SIZE..(group + 1) * GROUP_SIZE, &mut buffer, check, hash) {
                next.store(range.end, Ordering::Relaxed); // the others need not go on
                return Err(e);
            }
            found.push((group, hasher.finalize_non_root()));
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min((range.end - range.start) as usize);
    let results: Vec<io::Result<Vec<(u64, GroupHash)>>> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let joined = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread that hashed has died")))
        };
        std::iter::once(work()).chain(others.into_iter().map(joined)).collect()
    });
    let mut all = Vec::new();
    for found in results {
        all.append(&mut found?);
    }
    all.sort_unstable_by_key(|(group, _)| *group);
    Ok(all.into_iter().map(|(_, hash)| hash).collect())
}

/// Hands a range of a file to `take`, piece by piece, for as long as somebody waits for it.
fn read_each(
    file: &fs::File,
    range: Range<u64>,
    buffer: &mut [u8],
    check: &HashProgress,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let most = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        match read_at(file, at, &mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                take(&buffer[..read]);
                at += read as u64;
                check.pass(read)?;
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

    /// Bytes that differ from group to group.
    fn content(length: u64) -> Vec<u8> {
        (0..length).map(|i| (i / 977 * 31 + i) as u8).collect()
    }

    #[test]
    fn groups_make_the_hash_of_the_file() {
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
            let mut written = GroupHasher::default();
            bytes.chunks(1_000_003).for_each(|part| written.update(part));
            assert_eq!(written.finalize(), hash, "{length}");
            assert_eq!(written.groups().len() as u64, count(length));
            for steps in [vec![length], vec![length / 2, length], vec![length.min(GROUP_SIZE), length]] {
                let mut read = GroupHasher::default();
                steps.iter().for_each(|end| read.read(&file, *end, &HashProgress::default()).unwrap());
                assert_eq!((read.finalize(), read.groups()), (hash, written.groups()), "{length} by {steps:?}");
            }
            for kept in 0..length.div_ceil(GROUP_SIZE) as usize {
                let mut rest = written.clone();
                rest.truncate(kept);
                rest.update(&bytes[kept * GROUP_SIZE as usize..]);
                assert_eq!(rest.finalize(), hash, "from group {kept} of {length}");
            }
        }
    }

    #[test]
    fn a_group_is_known_by_its_place() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 2 * GROUP_SIZE as usize]).unwrap();
        let mut hasher = GroupHasher::default();
        let check = HashProgress::default();
        hasher.read(&file, 2 * GROUP_SIZE, &check).unwrap();
        assert_ne!(hasher.groups()[0], hasher.groups()[1]);
        assert_eq!(check.bytes(), 2 * GROUP_SIZE);
        let e = GroupHasher::default().read(&file, 4 * GROUP_SIZE, &check).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
        drop(check.cancel_on_drop());
        GroupHasher::default().read(&file, 2 * GROUP_SIZE, &check).unwrap_err();
    }
}
