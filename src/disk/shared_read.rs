//! Files that are being read, each once, however many downloads read it at the same time.
//!
//! Downloads that have the same file open share its handle, its hash and the last pieces that were read: whoever is
//! ahead reads and hashes, the others find the bytes in memory while they are close behind, and read for themselves
//! where they are not. Nothing is kept of a file that nobody reads.

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    sync::{
        Arc, MutexGuard, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    fingerprint::Fingerprint,
    groups::{self, GROUP_SIZE, GroupHash, GroupHasher},
    hash_progress::HashProgress,
};
use crate::manifest::SafePath;
use crate::sync::Mutex;

/// What is kept of one file for whoever is behind: some twenty records.
const KEPT: usize = 4 * 1024 * 1024;

/// What is kept of all files.
const KEPT_IN_ALL: usize = 16 * 1024 * 1024;

/// The files that are being read. A handle: clones share them.
#[derive(Debug, Clone, Default)]
pub struct SharedReads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<HashMap<(SafePath, Fingerprint), Weak<SharedRead>>>,
    kept: AtomicUsize,
}

impl SharedReads {
    /// What others read under this path with this stamp, or `file`, which was just opened there.
    pub(super) fn join(&self, path: &SafePath, stamp: Fingerprint, file: fs::File) -> Arc<SharedRead> {
        let key = (path.clone(), stamp);
        let mut open = lock(&self.0.open);
        if let Some(reading) = open.get(&key).and_then(Weak::upgrade) {
            return reading;
        }
        let reading = Arc::new(SharedRead {
            file,
            key: key.clone(),
            all: Arc::clone(&self.0),
            hashing: Mutex::default(),
            pieces: Mutex::default(),
        });
        open.insert(key, Arc::downgrade(&reading));
        reading
    }
}

/// One open file.
#[derive(Debug)]
pub(super) struct SharedRead {
    file: fs::File,
    key: (SafePath, Fingerprint),
    all: Arc<Shared>,
    hashing: Mutex<Hashing>,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Hashing {
    hasher: GroupHasher,
    /// Everything before this offset is hashed. It is never behind any of those who read.
    done: u64,
}

/// The last pieces that were read, in order, without one behind another.
#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<(u64, Arc<[u8]>)>,
    bytes: usize,
}

impl SharedRead {
    /// The file itself.
    pub(super) fn file(&self) -> &fs::File {
        &self.file
    }

    /// Reads some bytes at `offset`; 0 at the end of the file.
    pub(super) fn read_at(self: &Arc<Self>, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if let Some((start, piece)) = lock(&self.pieces).at(offset) {
            let piece = &piece[(offset - start) as usize..];
            let length = piece.len().min(buf.len());
            buf[..length].copy_from_slice(&piece[..length]);
            return Ok(length);
        }
        let read = read_at(&self.file, offset, buf)?;
        if Arc::strong_count(self) > 1 {
            self.keep(offset, &buf[..read]);
        }
        Ok(read)
    }

    /// Hashes what was read at `offset`, as far as nobody has.
    pub(super) fn hash(&self, offset: u64, bytes: &[u8]) {
        let mut hashing = lock(&self.hashing);
        let end = offset + bytes.len() as u64;
        if hashing.done < end {
            let new = &bytes[(hashing.done - offset) as usize..];
            hashing.hasher.update(new);
            hashing.done = end;
        }
    }

    /// How many bytes of `size` are as somebody says who has them in these groups: whole groups, or all of them. They count
    /// as hashed.
    ///
    /// # Errors
    /// What reading says, and where nobody waits any more.
    pub(super) fn same_as(&self, size: u64, theirs: &[GroupHash], check: &HashProgress) -> io::Result<u64> {
        /// Groups that are read before they are compared: nothing much is read in vain of a file that differs early.
        const AT_ONCE: u64 = 16;
        let wanted = groups::count(size).min(theirs.len() as u64);
        let (mut hasher, mut same) = (GroupHasher::default(), 0);
        while same < wanted {
            let next = wanted.min(same + AT_ONCE);
            hasher.read(&self.file, size.min(next * GROUP_SIZE), check)?;
            same = hasher.groups().iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count() as u64;
            if same < next {
                hasher.truncate(same as usize);
                break;
            }
        }
        let bytes = size.min(same * GROUP_SIZE);
        let mut hashing = lock(&self.hashing);
        if hashing.done < bytes {
            *hashing = Hashing { hasher, done: bytes };
        }
        Ok(bytes)
    }

    /// The BLAKE3 of the whole file, once somebody has read to its end.
    pub(super) fn hash_of_all(&self) -> [u8; 32] {
        *lock(&self.hashing).hasher.finalize().as_bytes()
    }

    fn keep(&self, offset: u64, bytes: &[u8]) {
        let mut pieces = lock(&self.pieces);
        if offset < pieces.end() || bytes.is_empty() {
            return; // somebody who is far behind
        }
        if self.all.kept.fetch_add(bytes.len(), Ordering::Relaxed) > KEPT_IN_ALL {
            self.all.kept.fetch_sub(bytes.len(), Ordering::Relaxed);
            return;
        }
        pieces.pieces.push_back((offset, bytes.into()));
        pieces.bytes += bytes.len();
        while pieces.bytes > KEPT
            && let Some((_, oldest)) = pieces.pieces.pop_front()
        {
            pieces.bytes -= oldest.len();
            self.all.kept.fetch_sub(oldest.len(), Ordering::Relaxed);
        }
    }
}

impl Pieces {
    fn at(&self, offset: u64) -> Option<(u64, Arc<[u8]>)> {
        let behind = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, piece) = self.pieces.get(behind.checked_sub(1)?)?;
        (offset - start < piece.len() as u64).then(|| (*start, Arc::clone(piece)))
    }

    fn end(&self) -> u64 {
        self.pieces.back().map_or(0, |(start, piece)| start + piece.len() as u64)
    }
}

impl Drop for SharedRead {
    fn drop(&mut self) {
        let mut open = lock(&self.all.open);
        // Another one may have been opened since nobody held this one.
        if open.get(&self.key).is_some_and(|other| other.strong_count() == 0) {
            open.remove(&self.key);
        }
        self.all.kept.fetch_sub(lock(&self.pieces).bytes, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(unix)]
pub(super) fn read_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn reading(readings: &SharedReads, file: &tempfile::NamedTempFile) -> Arc<SharedRead> {
        let file = file.reopen().unwrap();
        let stamp = Fingerprint::of(&cap_std::fs::Metadata::from_file(&file).unwrap());
        readings.join(&SafePath::parse("f").unwrap(), stamp, file)
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn whoever_is_close_behind_finds_the_bytes_in_memory() {
        let (readings, file) = (SharedReads::default(), file(&[1; 3000]));
        let [ahead, behind] = [reading(&readings, &file), reading(&readings, &file)];
        let mut buf = [0; 2000];
        assert_eq!(ahead.read_at(0, &mut buf).unwrap(), 2000);
        ahead.hash(0, &buf);
        file.as_file().set_len(0).unwrap(); // what is on the disk cannot be read any more
        let mut part = [0; 1500];
        assert_eq!(behind.read_at(0, &mut part).unwrap(), 1500);
        behind.hash(0, &[9; 1500]); // hashed already: what it says does not count
        assert_eq!(behind.read_at(1500, &mut part).unwrap(), 500);
        assert_eq!(part, [1; 1500]);
        assert_eq!(behind.read_at(2000, &mut part).unwrap(), 0);
        assert_eq!(behind.hash_of_all(), *blake3::hash(&[1; 2000]).as_bytes());
    }

    #[test]
    fn whoever_is_ahead_hashes_for_all() {
        let (readings, file) = (SharedReads::default(), file(&[]));
        let [one, two] = [reading(&readings, &file), reading(&readings, &file)];
        one.hash(0, b"one ");
        two.hash(0, b"one two");
        one.hash(4, b"two three");
        assert_eq!(two.hash_of_all(), *blake3::hash(b"one two three").as_bytes());
    }

    #[test]
    fn little_is_kept_and_nothing_for_one_alone() {
        let (readings, file) = (SharedReads::default(), file(&vec![1; 20 * MIB]));
        let mut buf = vec![0; MIB];
        let alone = reading(&readings, &file);
        alone.read_at(0, &mut buf).unwrap();
        assert_eq!(readings.0.kept.load(Ordering::Relaxed), 0);
        let other = reading(&readings, &file);
        for i in 0..20 {
            alone.read_at((i * MIB) as u64, &mut buf).unwrap();
            assert!(readings.0.kept.load(Ordering::Relaxed) <= KEPT);
        }
        assert_eq!(readings.0.kept.load(Ordering::Relaxed), KEPT);
        other.read_at(0, &mut buf).unwrap(); // far behind: from the disk, and not kept
        assert_eq!(lock(&other.pieces).pieces[0].0, (16 * MIB) as u64);
        drop((alone, other));
        assert_eq!(readings.0.kept.load(Ordering::Relaxed), 0);
        assert!(lock(&readings.0.open).is_empty());
    }
}
