//! A clock that advances only when a test advances it. The integration tests include this file too.
#![allow(dead_code, reason = "the unit tests and the integration tests each use a part of it")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Clock;

/// The clock, in milliseconds since 1970.
#[derive(Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    /// Creates a clock that shows this time.
    pub(crate) fn at_ms(now: u64) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Sets the time, forwards or backwards.
    pub(crate) fn set_ms(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// Advances the clock.
    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
