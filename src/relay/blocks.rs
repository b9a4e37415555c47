//! A queue of bytes in blocks that are filled once and never moved.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::net::{BufferPool, PooledBuffer};

/// The first block. Most directions never need a longer one: a handshake and some credit.
const SHORT: usize = 4 * 1024;

/// QUIC looks through the pieces that were written for every packet it makes, so that forwarding the pieces of packets
/// as they came costs more than this one copy into long blocks. This is what two reads of a socket bring.
const LONG: usize = 128 * 1024;

/// Bytes that came in and are to go out.
#[derive(Debug)]
pub(super) struct Blocks {
    full: VecDeque<Bytes>,
    filling: PooledBuffer,
    /// How long the block that is being filled may become, and how long the next one.
    room: usize,
    next_room: usize,
    length: usize,
    stock: BufferPool,
}

impl Blocks {
    /// Without bytes; long blocks come from `stock` and go back to it.
    pub(super) fn new(stock: BufferPool) -> Self {
        Self { full: VecDeque::new(), filling: PooledBuffer::default(), room: 0, next_room: SHORT, length: 0, stock }
    }

    /// Appends a copy of `bytes`.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while !bytes.is_empty() {
            if self.filling.len() == self.room {
                self.open_block();
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room - self.filling.len()));
            self.filling.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Takes the first bytes off, as many as lie together.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.full.is_empty() {
            self.close_block();
        }
        let block = self.full.pop_front()?;
        self.length -= block.len();
        Some(block)
    }

    /// Bytes of memory that are held: those that there are, and room for more.
    pub(super) fn held(&self) -> usize {
        self.length + self.room - self.filling.len()
    }

    fn open_block(&mut self) {
        self.close_block();
        self.room = self.next_room;
        if self.room == LONG {
            self.filling = self.stock.get();
            self.filling.clear();
        }
        self.filling.reserve_exact(self.room);
    }

    /// The next block is long where this one was not short.
    fn close_block(&mut self) {
        if !self.filling.is_empty() {
            self.room = 0;
            self.next_room = if self.filling.len() < SHORT { SHORT } else { LONG };
            self.full.push_back(Bytes::from_owner(std::mem::take(&mut self.filling)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(pieces in proptest::collection::vec((0usize..20_000, any::<bool>()), 0..100)) {
            let mut blocks = Blocks::new(BufferPool::default());
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            for (length, pop) in pieces {
                let piece: Vec<u8> = (pushed.len()..pushed.len() + length).map(|i| (i % 251) as u8).collect();
                blocks.push(&piece);
                pushed.extend_from_slice(&piece);
                if pop {
                    popped.extend_from_slice(&blocks.pop().unwrap_or_default());
                }
                let held = blocks.held() - (pushed.len() - popped.len());
                prop_assert!(held < LONG && (held == 0 || popped.len() < pushed.len()), "{} more", held);
            }
            while let Some(block) = blocks.pop() {
                prop_assert!(!block.is_empty() && block.len() <= LONG);
                popped.extend_from_slice(&block);
            }
            prop_assert_eq!(popped, pushed);
        }
    }
}
