//! Hashes the groups of a file, on all processors.

use std::{
    io,
    num::NonZeroUsize,
    ops::Range,
    panic::resume_unwind,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use blake3::hazmat::HasherExt as _;

use super::{
    groups::{GROUP_SIZE, GroupHash, group_count, hasher_of},
    hash_progress::HashProgress,
    read_at::ReadAt,
};

/// The size of the read buffers in bytes.
const BUFFER_SIZE: usize = 256 * 1024;

/// Returns the hashes of a range of the groups of a file of `size` bytes.
///
/// # Errors
/// Any I/O error, [`io::ErrorKind::UnexpectedEof`] if the file is shorter, and an error if `progress` is cancelled.
pub(super) fn hash_groups(
    file: &(impl ReadAt + ?Sized),
    size: u64,
    groups: Range<u64>,
    progress: &HashProgress,
) -> io::Result<Vec<GroupHash>> {
    let next = AtomicU64::new(groups.start);
    let work = || {
        let (mut hashes, mut buffer) = (Vec::new(), vec![0; BUFFER_SIZE]);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= groups.end {
                return Ok(hashes);
            }
            match hash_group(file, size, group, &mut buffer, progress) {
                Ok(hash) => hashes.push((group, hash)),
                Err(e) => {
                    next.store(groups.end, Ordering::Relaxed); // stops the other threads
                    return Err(e);
                }
            }
        }
    };
    let count = groups.end.saturating_sub(groups.start) as usize;
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(count);
    let results: Vec<io::Result<Vec<(u64, GroupHash)>>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        std::iter::once(work()).chain(others.into_iter().map(join)).collect()
    });
    let mut all = Vec::with_capacity(count);
    for hashes in results {
        all.append(&mut hashes?);
    }
    all.sort_unstable_by_key(|(group, _)| *group);
    Ok(all.into_iter().map(|(_, hash)| hash).collect())
}

fn hash_group(
    file: &(impl ReadAt + ?Sized),
    size: u64,
    group: u64,
    buffer: &mut [u8],
    progress: &HashProgress,
) -> io::Result<GroupHash> {
    let mut hasher = hasher_of(group);
    let (mut offset, end) = (group * GROUP_SIZE, size.min((group + 1) * GROUP_SIZE));
    while offset < end {
        let max = buffer.len().min((end - offset) as usize);
        match file.read_at(offset, &mut buffer[..max]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                offset += read as u64;
                progress.add(read)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(if group_count(size) == 1 { *hasher.finalize().as_bytes() } else { hasher.finalize_non_root() })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::{
        super::{group_hasher::GroupHasher, groups::GroupTree},
        *,
    };

    fn file(content: &[u8]) -> fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn the_groups_give_the_hash_of_the_file() {
        let all: Vec<u8> = (0..5 * GROUP_SIZE + 3).map(|i| (i / 977 * 31 + i) as u8).collect();
        let file = file(&all);
        for length in [1, 1025, GROUP_SIZE - 1, GROUP_SIZE, GROUP_SIZE + 1, 2 * GROUP_SIZE, 5 * GROUP_SIZE + 3] {
            let (bytes, groups) = (&all[..length as usize], group_count(length));
            for split in 0..=groups {
                let hash = |groups| hash_groups(&file, length, groups, &HashProgress::default()).unwrap();
                let mut tree = GroupTree::default();
                tree.extend(hash(0..split));
                let before = tree.clone();
                tree.extend(hash(split..groups));
                assert_eq!((tree.groups(), tree.root()), (groups, Some(blake3::hash(bytes))), "{length} at {split}");
                assert_eq!(GroupHasher::after(tree).finalize(), blake3::hash(bytes), "nothing follows {length}");
                if split < groups {
                    let mut hasher = GroupHasher::after(before);
                    bytes[(split * GROUP_SIZE) as usize..].chunks(1_000_003).for_each(|part| hasher.update(part));
                    assert_eq!(hasher.finalize(), blake3::hash(bytes), "{length} from {split}");
                }
            }
        }
    }

    #[test]
    fn equal_groups_at_different_positions_have_different_hashes() {
        let (file, progress) = (file(&vec![7; 2 * GROUP_SIZE as usize]), HashProgress::default());
        let hashes = hash_groups(&file, 2 * GROUP_SIZE, 0..2, &progress).unwrap();
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(progress.bytes(), 2 * GROUP_SIZE);
    }

    #[test]
    fn reading_fails_at_the_end_of_the_file_and_when_cancelled() {
        let (file, progress) = (file(&vec![7; 2 * GROUP_SIZE as usize]), HashProgress::default());
        let e = hash_groups(&file, 4 * GROUP_SIZE, 0..4, &progress).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
        drop(progress.cancel_on_drop());
        hash_groups(&file, 2 * GROUP_SIZE, 0..2, &progress).unwrap_err();
    }
}
