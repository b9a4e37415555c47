//! A queue of bytes in blocks that are filled once and never moved.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The first block. Most directions never need another: a handshake and some credit.
const SMALLEST: usize = 4 * 1024;

/// QUIC looks through the pieces that were written for every packet it makes, so that forwarding the pieces of packets
/// as they came costs more than this one copy into long blocks.
const LARGEST: usize = 256 * 1024;

/// Bytes that came in and are to go out.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    full: VecDeque<Bytes>,
    filling: BytesMut,
    size: usize,
    length: usize,
}

impl Blocks {
    /// Appends a copy of `bytes`.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while !bytes.is_empty() {
            if self.filling.len() == self.filling.capacity() {
                self.close_block();
                self.size = (2 * self.size).clamp(SMALLEST, LARGEST);
                self.filling = BytesMut::with_capacity(self.size);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.filling.capacity() - self.filling.len()));
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

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn close_block(&mut self) {
        if !self.filling.is_empty() {
            self.full.push_back(self.filling.split().freeze());
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
            let mut blocks = Blocks::default();
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            for (length, pop) in pieces {
                let piece: Vec<u8> = (pushed.len()..pushed.len() + length).map(|i| (i % 251) as u8).collect();
                blocks.push(&piece);
                pushed.extend_from_slice(&piece);
                if pop {
                    popped.extend_from_slice(&blocks.pop().unwrap_or_default());
                }
                prop_assert_eq!(blocks.len(), pushed.len() - popped.len());
            }
            while let Some(block) = blocks.pop() {
                prop_assert!(!block.is_empty() && block.len() <= LARGEST);
                popped.extend_from_slice(&block);
            }
            prop_assert_eq!(popped, pushed);
        }
    }
}
