//! Checks the system's limit of threads before a command needs them.

use std::{
    io,
    sync::Mutex,
    thread::{self, Builder},
};

/// The threads besides those of the runtime: the display, a question or a resolver, and two for files.
const OTHER_THREADS: usize = 4;

/// The stack of a thread that only waits.
const STACK: usize = 64 * 1024;

/// Checks that the system starts as many threads as a command needs. The runtime panics where it cannot start one.
///
/// # Errors
/// The system's error, usually because of `ulimit -u`.
pub(super) fn check() -> io::Result<()> {
    let count = thread::available_parallelism().map_or(1, usize::from) + OTHER_THREADS;
    let gate = Mutex::new(());
    let closed = gate.lock();
    let wait = || drop(gate.lock());
    thread::scope(|scope| {
        let _closed = closed; // opens when this closure ends, before the scope waits for the threads
        (0..count).try_for_each(|_| Builder::new().stack_size(STACK).spawn_scoped(scope, wait).map(drop))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_usual_limit_suffices() {
        super::check().unwrap();
    }
}
