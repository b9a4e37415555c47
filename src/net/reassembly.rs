//! Puts the chunks of a stream back into order.
//!
//! quinn closes the whole connection when the unread data of a stream has more than 1,024 gaps (`too many gaps in
//! stream buffer`). A fast path with packet loss reaches that within one round trip. So streams are read as the chunks
//! arrive, in any order, and are reordered here. Reading also grants QUIC flow-control credit, so QUIC does not bound
//! the bytes that wait here. The credit of the session bounds them, and a limit ends a stream whose peer exceeds it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The memory overhead of a chunk: its map entry, its handle, the allocator's overhead, and its entry in quinn's set of
/// received ranges.
const CHUNK_OVERHEAD: usize = 128;

/// The out-of-order chunks of one stream.
#[derive(Debug)]
pub(super) struct Reassembly {
    next_offset: u64,
    /// The chunks behind a gap, by offset. They are disjoint, because quinn removes duplicates.
    chunks: BTreeMap<u64, Bytes>,
    memory: usize,
    memory_limit: usize,
}

impl Reassembly {
    /// Creates an empty buffer for a peer that sends at most `window` bytes past a missing byte.
    pub(super) fn new(window: usize) -> Self {
        Self { next_offset: 0, chunks: BTreeMap::new(), memory: 0, memory_limit: memory_limit(window) }
    }

    /// Changes the window.
    pub(super) fn set_window(&mut self, window: usize) {
        self.memory_limit = memory_limit(window);
    }

    /// The offset of the next byte in order.
    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// The memory that the waiting chunks use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Stores a chunk. Returns it instead if it is the next in order.
    ///
    /// # Errors
    /// [`ReorderWindowExceeded`] if the waiting chunks would exceed the memory limit.
    pub(super) fn insert(&mut self, offset: u64, chunk: Bytes) -> Result<Option<Bytes>, ReorderWindowExceeded> {
        if offset == self.next_offset {
            self.next_offset += chunk.len() as u64;
            return Ok(Some(chunk));
        }
        self.memory += chunk.len() + CHUNK_OVERHEAD;
        if self.memory > self.memory_limit {
            return Err(ReorderWindowExceeded);
        }
        // A copy, because the chunk itself may keep a whole batch of packets in memory.
        self.chunks.insert(offset, Bytes::copy_from_slice(&chunk));
        Ok(None)
    }

    /// Removes and returns a stored chunk that is now the next in order.
    pub(super) fn pop_ready(&mut self) -> Option<Bytes> {
        let first = self.chunks.first_entry().filter(|first| *first.key() == self.next_offset)?;
        let chunk = first.remove();
        self.next_offset += chunk.len() as u64;
        self.memory -= chunk.len() + CHUNK_OVERHEAD;
        Some(chunk)
    }

    /// Discards all stored chunks.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.memory = 0;
    }
}

/// Returns the memory in bytes that `window` bytes need at most if each chunk is the content of one packet.
/// [`CHUNK_OVERHEAD`] is less than an eighth of the shortest full packet of QUIC (1,200 bytes). An eighth of the
/// window, at most 64 KiB, allows for packets that are not full.
fn memory_limit(window: usize) -> usize {
    window.saturating_add(window / 8).saturating_add((window / 8).min(64 * 1024))
}

/// The peer has sent more bytes past a missing byte than agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReorderWindowExceeded;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::*;

    /// Returns a stream in which each byte depends on its offset, and the stream cut into chunks of these lengths.
    fn stream(lengths: &[usize]) -> (Vec<u8>, Vec<(u64, Bytes)>) {
        let all: Vec<u8> = (0..lengths.iter().sum::<usize>()).map(|i| (i % 251) as u8).collect();
        let mut end = 0;
        let chunk = |length: &usize| {
            end += length;
            ((end - length) as u64, Bytes::copy_from_slice(&all[end - length..end]))
        };
        let chunks = lengths.iter().map(chunk).collect();
        (all, chunks)
    }

    proptest! {
        #[test]
        fn chunks_in_any_order_give_the_stream(
            lengths in proptest::collection::vec(1usize..50, 1..300),
            seed: u64,
        ) {
            let (all, mut chunks) = stream(&lengths);
            chunks.shuffle(&mut StdRng::seed_from_u64(seed));
            let mut reassembly = Reassembly::new(60_000);
            let mut out = Vec::new();
            for (offset, chunk) in chunks {
                if let Some(chunk) = reassembly.insert(offset, chunk).unwrap() {
                    out.extend_from_slice(&chunk);
                }
                while let Some(chunk) = reassembly.pop_ready() {
                    out.extend_from_slice(&chunk);
                }
                let stored: usize = reassembly.chunks.values().map(|chunk| chunk.len() + CHUNK_OVERHEAD).sum();
                prop_assert_eq!(reassembly.memory(), stored);
            }
            prop_assert_eq!(out, all);
            prop_assert_eq!(reassembly.memory(), 0);
        }
    }

    #[test]
    fn memory_is_bounded_even_for_chunks_of_one_byte() {
        let mut reassembly = Reassembly::new(1_000_000);
        let byte = || Bytes::from_static(b"x");
        let stored = (0..1_000_000).take_while(|i| reassembly.insert(1 + 2 * i, byte()).is_ok()).count();
        assert_eq!(stored, memory_limit(1_000_000) / (CHUNK_OVERHEAD + 1));
        assert_eq!(reassembly.insert(0, byte()), Ok(Some(byte())), "a chunk that fills the first gap needs no memory");
        assert_eq!(reassembly.insert(3_000_000, byte()), Err(ReorderWindowExceeded));
    }

    #[test]
    fn a_whole_window_of_packets_fits() {
        let mut reassembly = Reassembly::new(16 * 1024 * 1024);
        let packet = Bytes::from(vec![0; 1_100]);
        for i in 1..16 * 1024 * 1024 / 1_100 {
            assert_eq!(reassembly.insert(i * 1_100, packet.clone()), Ok(None));
        }
    }
}
