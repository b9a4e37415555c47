//! A pool of reusable buffers.
//!
//! A record is 128 KiB, and so is its buffer. Made anew each time, it comes from the system as pages that the kernel has
//! to clear, which took a tenth of the CPU of both ends of a download.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crate::sync::Mutex;

/// Idle buffers that are kept: as many as records are on their way on a short line.
const KEPT: usize = 32;

/// A stock of buffers. A handle: clones share one stock.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// A buffer, which returns when it is dropped. What was in it before may be still there.
    pub fn get(&self) -> PooledBuffer {
        let bytes = self.0.lock().pop().unwrap_or_default();
        PooledBuffer { bytes, home: Some(self.clone()) }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let mut stock = self.0.lock();
        if stock.len() < KEPT {
            stock.push(bytes);
        }
    }
}

/// Bytes that go back to their stock when they are dropped.
#[derive(Debug, Default)]
pub struct PooledBuffer {
    bytes: Vec<u8>,
    home: Option<BufferPool>,
}

impl Deref for PooledBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_holder_is_gone() {
        let stock = BufferPool::default();
        let mut buffer = stock.get();
        buffer.extend_from_slice(b"sealed");
        let place = buffer.as_ptr();
        let on_the_line = Bytes::from_owner(buffer);
        let part = on_the_line.slice(2..);
        drop(on_the_line);
        assert!(stock.get().capacity() == 0, "it is still out");
        assert_eq!(part, "aled");
        drop(part);
        let held: Vec<PooledBuffer> = (0..3).map(|_| stock.get()).collect();
        assert!(held.iter().any(|buffer| buffer.as_ptr() == place && buffer.capacity() > 0));
    }

    #[test]
    fn few_are_kept() {
        let stock = BufferPool::default();
        let out: Vec<PooledBuffer> = (0..3 * KEPT).map(|_| stock.get()).collect();
        drop(out);
        assert_eq!(stock.0.lock().len(), KEPT);
    }
}
