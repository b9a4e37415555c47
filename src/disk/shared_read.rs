//! Files that several downloads read at the same time. Each byte is hashed once, and usually read once.
//!
//! Downloads that have the same version of a file open share its handle, its hasher and a cache of the latest blocks.
//! The download that is ahead reads from the disk and hashes. The others find the bytes in the cache while they are
//! close behind it, and read from the disk otherwise. A file that no download has open uses no memory.

use std::{
    collections::HashMap,
    fs, io,
    ops::Range,
    sync::{Arc, Weak},
};

use super::{
    block_cache::{BlockCache, CacheBudget},
    fingerprint::Fingerprint,
    group_hasher::GroupHasher,
    group_reader::hash_groups,
    groups::{GroupHash, GroupTree},
    hash_progress::HashProgress,
    read_at::ReadAt as _,
};
use crate::{manifest::SafePath, sync::Mutex};

/// The files of a share that are being read. A handle: clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedReads(Arc<OpenReads>);

#[derive(Debug, Default)]
struct OpenReads {
    by_version: Mutex<HashMap<FileVersion, Weak<SharedRead>>>,
    budget: CacheBudget,
}

/// A path in the share, the version of the file there, and the announced length.
type FileVersion = (SafePath, Fingerprint, u64);

impl SharedReads {
    /// Returns the read of the first `length` bytes of this version of `path` that other downloads have open. Otherwise
    /// starts one with `file`, which the caller has just opened.
    pub(super) fn join(
        &self,
        path: &SafePath,
        fingerprint: Fingerprint,
        length: u64,
        file: fs::File,
    ) -> Arc<SharedRead> {
        let version = (path.clone(), fingerprint, length);
        let mut open = self.0.by_version.lock();
        if let Some(read) = open.get(&version).and_then(Weak::upgrade) {
            return read;
        }
        let read = Arc::new(SharedRead {
            content: ReadContent::File { file, version: version.clone(), reads: Arc::clone(&self.0) },
            hash_state: Mutex::default(),
            cache: Mutex::new(BlockCache::new(self.0.budget.clone())),
        });
        open.insert(version, Arc::downgrade(&read));
        read
    }
}

/// One open file.
#[derive(Debug)]
pub(super) struct SharedRead {
    content: ReadContent,
    hash_state: Mutex<HashState>,
    cache: Mutex<BlockCache>,
}

/// Where the bytes of a file come from.
#[derive(Debug)]
enum ReadContent {
    /// From the disk.
    File { file: fs::File, version: FileVersion, reads: Arc<OpenReads> },
    /// From memory: the file has no size, and was read when it was scanned.
    Memory(Arc<[u8]>),
}

#[derive(Debug, Default)]
struct HashState {
    hasher: GroupHasher,
    /// All bytes before this offset are hashed. No download is ahead of it.
    hashed: u64,
}

impl SharedRead {
    /// Reads content that is in memory.
    pub(super) fn of_content(content: Arc<[u8]>) -> Arc<Self> {
        let cache = Mutex::new(BlockCache::new(CacheBudget::default()));
        Arc::new(Self { content: ReadContent::Memory(content), hash_state: Mutex::default(), cache })
    }

    /// Whether the metadata has changed since the file was opened.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn has_new_metadata(&self) -> io::Result<bool> {
        match &self.content {
            ReadContent::File { file, version: (_, opened, _), .. } => {
                Ok(Fingerprint::of(&cap_std::fs::Metadata::from_file(file)?) != *opened)
            }
            ReadContent::Memory(_) => Ok(false),
        }
    }

    /// Returns the hashes of a range of the groups of the first `length` bytes.
    ///
    /// # Errors
    /// The errors of [`hash_groups`].
    pub(super) fn hash_groups(
        &self,
        length: u64,
        groups: Range<u64>,
        progress: &HashProgress,
    ) -> io::Result<Vec<GroupHash>> {
        match &self.content {
            ReadContent::File { file, .. } => hash_groups(file, length, groups, progress),
            ReadContent::Memory(content) => hash_groups(&**content, length, groups, progress),
        }
    }

    /// Reads bytes at `offset`, from the cache or the disk; returns 0 at the end of the file.
    pub(super) fn read_at(self: &Arc<Self>, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let cached = self.cache.lock().find(offset);
        if let Some((start, block)) = cached {
            let block = &block[(offset - start) as usize..];
            let length = block.len().min(buf.len());
            buf[..length].copy_from_slice(&block[..length]);
            return Ok(length);
        }
        let length = match &self.content {
            ReadContent::File { file, .. } => file.read_at(offset, buf)?,
            ReadContent::Memory(content) => return content.read_at(offset, buf),
        };
        if Arc::strong_count(self) > 1 {
            self.cache.lock().push(offset, &buf[..length]);
        }
        Ok(length)
    }

    /// Hashes `bytes`, which were read at `offset`, except for the part that another download has hashed.
    pub(super) fn hash(&self, offset: u64, bytes: &[u8]) {
        let mut state = self.hash_state.lock();
        let end = offset + bytes.len() as u64;
        if state.hashed < end {
            let new = &bytes[(state.hashed - offset) as usize..];
            state.hasher.update(new);
            state.hashed = end;
        }
    }

    /// Counts the first `bytes` bytes as hashed: the groups in `tree`.
    pub(super) fn skip(&self, bytes: u64, tree: GroupTree) {
        let mut state = self.hash_state.lock();
        if state.hashed < bytes {
            *state = HashState { hasher: GroupHasher::after(tree), hashed: bytes };
        }
    }

    /// Returns the BLAKE3 hash of the file, once a download has read it to its end.
    pub(super) fn file_hash(&self) -> [u8; 32] {
        *self.hash_state.lock().hasher.finalize().as_bytes()
    }
}

impl Drop for SharedRead {
    fn drop(&mut self) {
        let ReadContent::File { version, reads, .. } = &self.content else { return };
        let mut open = reads.by_version.lock();
        // Another read of the same version may have been started since the last reference to this one was dropped.
        if open.get(version).is_some_and(|other| other.strong_count() == 0) {
            open.remove(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{super::block_cache::MAX_FILE_BYTES, *};

    const MIB: usize = 1024 * 1024;

    fn join(reads: &SharedReads, file: &tempfile::NamedTempFile) -> Arc<SharedRead> {
        let file = file.reopen().unwrap();
        let fingerprint = Fingerprint::of(&cap_std::fs::Metadata::from_file(&file).unwrap());
        let length = file.metadata().unwrap().len();
        reads.join(&SafePath::parse("f").unwrap(), fingerprint, length, file)
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn a_download_close_behind_reads_from_the_cache() {
        let (reads, file) = (SharedReads::default(), file(&[1; 3000]));
        let [ahead, behind] = [join(&reads, &file), join(&reads, &file)];
        let mut buf = [0; 2000];
        assert_eq!(ahead.read_at(0, &mut buf).unwrap(), 2000);
        ahead.hash(0, &buf);
        file.as_file().set_len(0).unwrap(); // from now on, only the cache has the bytes
        let mut part = [0; 1500];
        assert_eq!(behind.read_at(0, &mut part).unwrap(), 1500);
        behind.hash(0, &[9; 1500]); // already hashed, so ignored
        assert_eq!(behind.read_at(1500, &mut part).unwrap(), 500);
        assert_eq!(part, [1; 1500]);
        assert_eq!(behind.read_at(2000, &mut part).unwrap(), 0);
        assert_eq!(behind.file_hash(), *blake3::hash(&[1; 2000]).as_bytes());
    }

    #[test]
    fn each_byte_is_hashed_by_the_first_download_that_reads_it() {
        let (reads, file) = (SharedReads::default(), file(&[]));
        let [one, two] = [join(&reads, &file), join(&reads, &file)];
        one.hash(0, b"one ");
        two.hash(0, b"one two");
        one.hash(4, b"two three");
        assert_eq!(two.file_hash(), *blake3::hash(b"one two three").as_bytes());
    }

    #[test]
    fn the_cache_is_bounded_and_unused_by_a_single_download() {
        let (reads, file) = (SharedReads::default(), file(&vec![1; 20 * MIB]));
        let used = || reads.0.budget.used();
        let mut buf = vec![0; MIB];
        let one = join(&reads, &file);
        one.read_at(0, &mut buf).unwrap();
        assert_eq!(used(), 0);
        let other = join(&reads, &file);
        for i in 0..20 {
            one.read_at((i * MIB) as u64, &mut buf).unwrap();
            assert!(used() <= MAX_FILE_BYTES);
        }
        assert_eq!(used(), MAX_FILE_BYTES);
        other.read_at(0, &mut buf).unwrap(); // far behind: read from the disk and not cached
        assert_eq!(other.cache.lock().start(), Some((16 * MIB) as u64));
        drop((one, other));
        assert_eq!(used(), 0);
        assert!(reads.0.by_version.lock().is_empty());
    }
}
