//! Progress and cancellation of long hashing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Counts the bytes that are hashed, and cancels the hashing. A handle: clones share the state.
#[derive(Debug, Clone, Default)]
pub struct HashProgress(Arc<HashProgressState>);

#[derive(Debug, Default)]
struct HashProgressState {
    bytes: AtomicU64,
    cancelled: AtomicBool,
}

/// Cancels the hashing when it is dropped.
#[derive(Debug)]
pub struct CancelOnDrop(HashProgress);

impl HashProgress {
    /// Returns a guard for the task that needs the hashes: the hashing fails soon after the guard is dropped.
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// Returns the number of bytes that are hashed.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts `bytes` more.
    ///
    /// # Errors
    /// If the hashing is cancelled.
    pub(super) fn add(&self, bytes: usize) -> io::Result<()> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("cancelled"));
        }
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.cancelled.store(true, Ordering::Relaxed);
    }
}
