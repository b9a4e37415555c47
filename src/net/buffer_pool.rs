//! A pool of reusable buffers.
//!
//! A buffer holds one record of 128 KiB. The kernel has to clear the pages of each new buffer, which took a tenth of
//! the CPU time at both ends of a download.

use std::{
    hint::black_box,
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crate::sync::Mutex;

/// The maximum number of idle buffers: about as many as there are records in flight on a short path.
const MAX_IDLE: usize = 32;

/// A pool of reusable buffers. A handle: clones share one pool.
#[derive(Debug, Clone, Default)]
pub struct BufferPool {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Whether buffers are overwritten with zeros when they return.
    wipes: bool,
}

impl BufferPool {
    /// Creates a pool for buffers with plaintext, which are overwritten with zeros when they are no longer used.
    pub fn wiping() -> Self {
        Self { idle: Arc::default(), wipes: true }
    }

    /// Returns a buffer that returns to the pool when it is dropped. It may contain bytes from its previous use.
    pub fn get(&self) -> PooledBuffer {
        let bytes = self.idle.lock().pop().unwrap_or_default();
        PooledBuffer { bytes, pool: Some(self.clone()) }
    }

    fn put(&self, mut bytes: Vec<u8>) {
        if self.wipes {
            bytes.fill(0); // `zeroize` would write single bytes, which takes ten times as long
            black_box(&mut bytes); // keeps the compiler from removing the zeros of a buffer that is freed below
        }
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(bytes);
        }
    }
}

/// A buffer that returns to its pool when it is dropped. The default buffer has no pool.
#[derive(Debug, Default)]
pub struct PooledBuffer {
    bytes: Vec<u8>,
    pool: Option<BufferPool>,
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
        if let Some(pool) = self.pool.take() {
            pool.put(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_handle_is_dropped() {
        let pool = BufferPool::default();
        let mut buffer = pool.get();
        buffer.extend_from_slice(b"sealed");
        let address = buffer.as_ptr();
        let whole = Bytes::from_owner(buffer);
        let part = whole.slice(2..);
        drop(whole);
        assert_eq!(pool.get().capacity(), 0, "the buffer is still in use");
        assert_eq!(part, "aled");
        drop(part);
        let buffers: Vec<PooledBuffer> = (0..3).map(|_| pool.get()).collect();
        assert!(buffers.iter().any(|buffer| buffer.as_ptr() == address && buffer.capacity() > 0));
    }

    #[test]
    fn a_wiping_pool_keeps_no_content() {
        let pool = BufferPool::wiping();
        pool.get().extend_from_slice(b"plaintext");
        let buffer = pool.get();
        assert_eq!((&buffer[..], buffer.len()), (&[0; 9][..], 9));
    }

    #[test]
    fn the_number_of_idle_buffers_is_bounded() {
        let pool = BufferPool::default();
        let in_use: Vec<PooledBuffer> = (0..3 * MAX_IDLE).map(|_| pool.get()).collect();
        drop(in_use);
        assert_eq!(pool.idle.lock().len(), MAX_IDLE);
    }
}
