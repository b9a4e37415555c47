//! Hashing what is on the disk already may take long: how far it is, and whether anybody still waits for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// One such work. A handle: clones share it.
#[derive(Debug, Clone, Default)]
pub struct HashProgress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: AtomicU64,
    given_up: AtomicBool,
}

/// Somebody waits for it; dropped, nobody does.
#[derive(Debug)]
pub struct CancelOnDrop(HashProgress);

impl HashProgress {
    /// Waits for it: it ends soon after this is dropped.
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// How many bytes are hashed.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// So many more are.
    ///
    /// # Errors
    /// Where nobody waits any more.
    pub(super) fn pass(&self, bytes: usize) -> io::Result<()> {
        if self.0.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.given_up.store(true, Ordering::Relaxed);
    }
}
