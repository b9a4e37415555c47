//! Putting a stream back into order.
//!
//! quinn closes the whole connection when more than 1,024 gaps are in what a stream has received and nobody has read
//! (`too many gaps in stream buffer`), which a fast line with loss reaches within a round trip. So streams are read as
//! they come, in any order, and put into order here. Reading also grants QUIC's credit: what bounds the bytes in here is
//! the credit of the session, and a limit that cuts whoever does not keep to it.

use std::collections::BTreeMap;

use bytes::Bytes;

/// What a chunk costs beside its bytes: its place in the map, its handle and what the allocator adds.
const CHUNK_COST: usize = 96;

/// The chunks of a stream that arrived before the ones in front of them.
#[derive(Debug)]
pub(super) struct Reassembly {
    /// The offset of the next byte in order.
    next: u64,
    /// What lies behind a gap. Chunks are disjoint: quinn takes duplicates out.
    early: BTreeMap<u64, Bytes>,
    held: usize,
    limit: usize,
}

impl Reassembly {
    /// An empty one for a peer that sends at most `ahead` bytes while one before them is missing.
    pub(super) fn new(ahead: usize) -> Self {
        Self { next: 0, early: BTreeMap::new(), held: 0, limit: memory_for(ahead) }
    }

    /// The offset of the next byte in order.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Takes a chunk in; gives it back where it is the next in order.
    ///
    /// # Errors
    /// [`TooFarAhead`] where more would wait in here than allowed.
    pub(super) fn take(&mut self, offset: u64, chunk: Bytes) -> Result<Option<Bytes>, TooFarAhead> {
        if offset == self.next {
            self.next += chunk.len() as u64;
            return Ok(Some(chunk));
        }
        self.held += chunk.len() + CHUNK_COST;
        if self.held > self.limit {
            return Err(TooFarAhead);
        }
        // A copy: the chunk itself may keep a whole batch of packets in memory.
        self.early.insert(offset, Bytes::copy_from_slice(&chunk));
        Ok(None)
    }

    /// A chunk that waited and is now the next in order.
    pub(super) fn ready(&mut self) -> Option<Bytes> {
        let first = self.early.first_entry().filter(|first| *first.key() == self.next)?;
        let chunk = first.remove();
        self.next += chunk.len() as u64;
        self.held -= chunk.len() + CHUNK_COST;
        Some(chunk)
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        self.early.clear();
        self.held = 0;
    }

    /// Bytes of memory that waiting chunks take.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The peer sends at most `ahead` bytes ahead from here on.
    pub(super) fn expect(&mut self, ahead: usize) {
        self.limit = memory_for(ahead);
    }
}

/// What `ahead` bytes take at most in chunks as packets bring them: [`CHUNK_COST`] is less than an eighth of what is in
/// the shortest packet that QUIC fills (1,200 bytes), and some packets are not full.
fn memory_for(ahead: usize) -> usize {
    ahead.saturating_add(ahead / 8).saturating_add(64 * 1024)
}

/// More bytes wait for ones before them than was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooFarAhead;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::*;

    /// The chunks of a stream of bytes that tell their place, cut at random.
    fn chunks(lengths: &[usize]) -> (Vec<u8>, Vec<(u64, Bytes)>) {
        let all: Vec<u8> = (0..lengths.iter().sum::<usize>()).map(|i| (i % 251) as u8).collect();
        let mut at = 0;
        let chunk = |length: &usize| {
            at += length;
            ((at - length) as u64, Bytes::copy_from_slice(&all[at - length..at]))
        };
        let chunks = lengths.iter().map(chunk).collect();
        (all, chunks)
    }

    proptest! {
        #[test]
        fn any_order_gives_the_stream(lengths in proptest::collection::vec(1usize..50, 1..300), seed: u64) {
            let (all, mut chunks) = chunks(&lengths);
            chunks.shuffle(&mut StdRng::seed_from_u64(seed));
            let mut reassembly = Reassembly::new(20_000);
            let mut out = Vec::new();
            for (offset, chunk) in chunks {
                if let Some(chunk) = reassembly.take(offset, chunk).unwrap() {
                    out.extend_from_slice(&chunk);
                }
                while let Some(chunk) = reassembly.ready() {
                    out.extend_from_slice(&chunk);
                }
                let waiting: usize = reassembly.early.values().map(|chunk| chunk.len() + CHUNK_COST).sum();
                prop_assert_eq!(reassembly.held(), waiting);
            }
            prop_assert_eq!(out, all);
            prop_assert_eq!(reassembly.held(), 0);
        }
    }

    #[test]
    fn what_waits_is_bounded_however_small_the_chunks_are() {
        let mut reassembly = Reassembly::new(1_000_000);
        let byte = || Bytes::from_static(b"x");
        let taken = (0..1_000_000).take_while(|i| reassembly.take(1 + 2 * i, byte()).is_ok()).count();
        assert_eq!(taken, memory_for(1_000_000) / (CHUNK_COST + 1));
        assert_eq!(reassembly.take(0, byte()), Ok(Some(byte())), "what fills the first gap waits for nothing");
        assert_eq!(reassembly.take(3_000_000, byte()), Err(TooFarAhead));
    }

    #[test]
    fn a_whole_window_of_packets_may_wait() {
        let mut reassembly = Reassembly::new(16 * 1024 * 1024);
        let packet = Bytes::from(vec![0; 1_100]);
        for i in 1..16 * 1024 * 1024 / 1_100 {
            assert_eq!(reassembly.take(i * 1_100, packet.clone()), Ok(None));
        }
    }
}
