//! A FIFO queue of bytes. Short chunks are copied into pooled blocks, which are filled once and never moved. Long
//! chunks are handed on as they are.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::net::{BufferPool, PooledBuffer};

/// The length of the first block, in bytes. Most directions never need a longer one: they carry a handshake and some
/// credit.
const SHORT: usize = 4 * 1024;

/// The length of the other blocks, in bytes. Two reads of a socket fill one.
///
/// quinn scans the unacknowledged chunks of a stream for every packet that it builds. Forwarding the chunks of single
/// packets therefore costs more than the one copy into long blocks.
const LONG: usize = 128 * 1024;

/// A chunk of at least this many bytes is not copied.
const MIN_WHOLE: usize = LONG / 2;

/// Bytes that one direction of a bridge has received and not yet written.
#[derive(Debug)]
pub(super) struct BlockQueue {
    full: VecDeque<Bytes>,
    filling: PooledBuffer,
    /// The capacity of `filling`; 0 if there is no such block.
    capacity: usize,
    next_capacity: usize,
    length: usize,
    pool: BufferPool,
}

impl BlockQueue {
    /// Creates an empty queue, whose long blocks come from `pool` and return to it.
    pub(super) fn new(pool: BufferPool) -> Self {
        Self {
            full: VecDeque::new(),
            filling: PooledBuffer::default(),
            capacity: 0,
            next_capacity: SHORT,
            length: 0,
            pool,
        }
    }

    /// Appends `chunk`.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        if chunk.len() >= MIN_WHOLE {
            self.complete_block();
            self.full.push_back(chunk);
        } else {
            self.copy(&chunk);
        }
    }

    fn copy(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filling.len() == self.capacity {
                self.start_block();
            }
            let room = self.capacity - self.filling.len();
            let (fitting, rest) = bytes.split_at(bytes.len().min(room));
            self.filling.extend_from_slice(fitting);
            bytes = rest;
        }
    }

    /// Removes the first block, full or not.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.full.is_empty() {
            self.complete_block();
        }
        let block = self.full.pop_front()?;
        self.length -= block.len();
        Some(block)
    }

    /// Returns the memory that the queue holds: its bytes, and the free part of the block that is being filled.
    pub(super) fn memory(&self) -> usize {
        self.length + self.capacity - self.filling.len()
    }

    fn start_block(&mut self) {
        self.complete_block();
        self.capacity = self.next_capacity;
        if self.capacity == LONG {
            self.filling = self.pool.get();
            self.filling.clear();
        }
        self.filling.reserve_exact(self.capacity);
    }

    /// Moves the block that is being filled to the full ones. The next block is long if this one holds at least
    /// [`SHORT`] bytes. A block that is less than half full is copied: quinn keeps a block until it is acknowledged,
    /// and a peer that accumulates many short blocks must not make each of them occupy a long buffer.
    fn complete_block(&mut self) {
        if !self.filling.is_empty() {
            self.next_capacity = if self.filling.len() < SHORT { SHORT } else { LONG };
            let block = std::mem::take(&mut self.filling);
            let is_sparse = block.len() < self.capacity / 2;
            self.full.push_back(if is_sparse { Bytes::copy_from_slice(&block) } else { Bytes::from_owner(block) });
            self.capacity = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_in_which_they_were_pushed(
            pieces in proptest::collection::vec(
                (prop_oneof![0usize..20_000, 60_000usize..200_000], any::<bool>()),
                0..100,
            )
        ) {
            let mut queue = BlockQueue::new(BufferPool::default());
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            for (length, pop) in pieces {
                let piece: Vec<u8> = (pushed.len()..pushed.len() + length).map(|i| (i % 251) as u8).collect();
                pushed.extend_from_slice(&piece);
                queue.push(piece.into());
                if pop {
                    popped.extend_from_slice(&queue.pop().unwrap_or_default());
                }
                let unused = queue.memory() - (pushed.len() - popped.len());
                prop_assert!(unused < LONG && (unused == 0 || popped.len() < pushed.len()), "{} bytes unused", unused);
            }
            while let Some(block) = queue.pop() {
                prop_assert!(!block.is_empty());
                popped.extend_from_slice(&block);
            }
            prop_assert_eq!(popped, pushed);
        }
    }
}
