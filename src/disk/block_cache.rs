//! The most recently read blocks of a file that several downloads read.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The maximum number of cached bytes of one file: 32 records.
pub(super) const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// The number of cached bytes of all files of a share above which no more blocks are cached.
const MAX_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// Counts the bytes in all caches of a share. A handle: clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheBudget(Arc<AtomicUsize>);

impl CacheBudget {
    /// Counts `bytes` more. Returns `false` without counting them if the caches are full.
    fn reserve(&self, bytes: usize) -> bool {
        if self.0.fetch_add(bytes, Ordering::Relaxed) > MAX_TOTAL_BYTES {
            self.release(bytes);
            return false;
        }
        true
    }

    fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A cache of blocks in ascending order, without overlaps. There may be gaps between them.
#[derive(Debug)]
pub(super) struct BlockCache {
    /// The offset and the content of each block.
    blocks: VecDeque<(u64, Arc<[u8]>)>,
    bytes: usize,
    budget: CacheBudget,
}

impl BlockCache {
    pub(super) fn new(budget: CacheBudget) -> Self {
        Self { blocks: VecDeque::new(), bytes: 0, budget }
    }

    /// Returns the block that contains `offset`, and the offset at which it begins.
    pub(super) fn find(&self, offset: u64) -> Option<(u64, Arc<[u8]>)> {
        let after = self.blocks.partition_point(|(start, _)| *start <= offset);
        let (start, block) = self.blocks.get(after.checked_sub(1)?)?;
        (offset - start < block.len() as u64).then(|| (*start, Arc::clone(block)))
    }

    /// Adds a block and evicts the oldest ones. Ignores a block that begins before the end of the last one, and every
    /// block while the budget is used up.
    pub(super) fn push(&mut self, offset: u64, block: &[u8]) {
        if offset < self.end() || block.is_empty() || !self.budget.reserve(block.len()) {
            return;
        }
        self.blocks.push_back((offset, block.into()));
        self.bytes += block.len();
        while self.bytes > MAX_FILE_BYTES
            && let Some((_, oldest)) = self.blocks.pop_front()
        {
            self.bytes -= oldest.len();
            self.budget.release(oldest.len());
        }
    }

    /// Returns the offset of the oldest block.
    #[cfg(test)]
    pub(super) fn start(&self) -> Option<u64> {
        self.blocks.front().map(|(start, _)| *start)
    }

    fn end(&self) -> u64 {
        self.blocks.back().map_or(0, |(start, block)| start + block.len() as u64)
    }
}

impl Drop for BlockCache {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}
