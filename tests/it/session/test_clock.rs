//! A clock that advances only when a test tells it to.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use qshare::transfer::Clock;

/// The clock, in milliseconds since 1970.
#[derive(Default)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    /// Creates a clock that shows this time.
    pub(super) fn at_ms(now: u64) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Advances the clock.
    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
