//! A mutex that ignores poison.

use std::{
    fmt,
    sync::{self, MutexGuard, PoisonError},
};

/// [`std::sync::Mutex`] whose [`lock`](Mutex::lock) cannot fail.
///
/// A lock is poisoned when a thread panics while it holds the lock. Every critical section in this crate leaves its
/// data valid at each step, so the data behind a poisoned lock is still valid. One panicking task must not make all
/// others panic.
#[derive(Default)]
pub(crate) struct Mutex<T: ?Sized>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Creates an unlocked mutex around `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Blocks until the lock is free, and takes it. Never hold the guard across an `.await`.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Held while a test starts a process, and by tests in which the release of a file lock must count at once: until the
/// new process runs its program, it has the locks of all tests, too.
#[cfg(test)]
pub(crate) static PROCESS_START: Mutex<()> = Mutex::new(());

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_panic_under_the_lock_leaves_it_usable() {
        let mutex = Arc::new(Mutex::new(1));
        let held = Arc::clone(&mutex);
        let panicked = std::thread::spawn(move || {
            let _guard = held.lock();
            panic!("this thread holds the lock");
        });
        assert!(panicked.join().is_err());
        *mutex.lock() += 1;
        assert_eq!(*mutex.lock(), 2);
    }
}
