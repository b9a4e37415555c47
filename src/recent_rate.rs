//! The rate of the last seconds.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The time that a rate covers. A shorter one would jump with every burst of a limited rate, and a longer one would
/// show a stall too late.
const WINDOW: Duration = Duration::from_secs(5);

/// The minimum time between two samples.
const STEP: Duration = Duration::from_millis(100);

/// Measures the rate of a counter over the last five seconds. A counter that stops has the rate 0 after that time.
#[derive(Debug)]
pub(crate) struct RecentRate {
    /// The times and values of the counter, oldest first. Contains at most one sample that is older than the window.
    samples: VecDeque<(Instant, u64)>,
    /// The present value.
    latest: u64,
}

impl RecentRate {
    /// Starts to measure a counter whose value is `bytes` now.
    pub(crate) fn new(now: Instant, bytes: u64) -> Self {
        Self { samples: [(now, bytes)].into(), latest: bytes }
    }

    /// Records the value of the counter. If it has decreased, the measurement starts again.
    pub(crate) fn record(&mut self, now: Instant, bytes: u64) {
        if bytes < self.latest {
            *self = Self::new(now, bytes);
        }
        self.latest = bytes;
        if self.samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= STEP) {
            self.samples.push_back((now, bytes));
        }
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Returns the rate in bytes per second; 0 in the first moments, when it is unknown.
    pub(crate) fn per_second(&self, now: Instant) -> u64 {
        let Some(&(first_at, first)) = self.samples.front() else { return 0 };
        let elapsed = now.saturating_duration_since(first_at);
        if elapsed < STEP {
            return 0;
        }
        let is_recent = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) < WINDOW;
        let start = match self.samples.iter().position(is_recent) {
            Some(0) => first as f64,
            // The window begins between two samples.
            Some(next) => {
                let ((before_at, before), (after_at, after)) = (self.samples[next - 1], self.samples[next]);
                let outside = now.saturating_duration_since(before_at).saturating_sub(WINDOW).as_secs_f64();
                before as f64 + (after - before) as f64 * outside / (after_at - before_at).as_secs_f64()
            }
            None => return 0,
        };
        ((self.latest as f64 - start) / elapsed.min(WINDOW).as_secs_f64()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_rate_follows_the_last_seconds_and_a_stall_ends_at_zero() {
        let start = Instant::now();
        let mut rate = RecentRate::new(start, 5_000_000);
        assert_eq!(rate.per_second(start), 0);
        let (mut now, mut bytes) = (start, 5_000_000);
        let mut run = |rate: &mut RecentRate, millis: u32, step: u64| {
            for _ in 0..millis / 10 {
                (now, bytes) = (now + 10 * MS, bytes + step);
                rate.record(now, bytes);
            }
            rate.per_second(now)
        };
        assert_eq!(run(&mut rate, 1_000, 1_000), 100_000, "the first bytes do not count");
        assert_eq!(run(&mut rate, 20_000, 1_000), 100_000);
        let faster = run(&mut rate, 2_500, 9_000);
        assert!((490_000..=510_000).contains(&faster), "half of the window: {faster}");
        assert_eq!(run(&mut rate, 5_000, 9_000), 900_000);
        let stalled = run(&mut rate, 2_500, 0);
        assert!((440_000..=460_000).contains(&stalled), "{stalled}");
        assert_eq!(run(&mut rate, 2_500, 0), 0);
        assert!(rate.samples.len() < 60, "{}", rate.samples.len());
    }

    #[test]
    fn a_stall_shows_without_new_samples() {
        let start = Instant::now();
        let mut rate = RecentRate::new(start, 0);
        rate.record(start + 1_000 * MS, 1_000_000);
        assert_eq!(rate.per_second(start + 1_000 * MS), 1_000_000);
        assert_eq!(rate.per_second(start + 4_000 * MS), 250_000);
        assert_eq!(rate.per_second(start + 5_500 * MS), 100_000);
        assert_eq!(rate.per_second(start + 6_000 * MS), 0);
    }

    #[test]
    fn a_counter_that_decreases_starts_again() {
        let start = Instant::now();
        let mut rate = RecentRate::new(start, 0);
        rate.record(start + 1_000 * MS, 1_000_000);
        rate.record(start + 1_100 * MS, 10);
        assert_eq!(rate.per_second(start + 1_100 * MS), 0);
        rate.record(start + 2_100 * MS, 510);
        assert_eq!(rate.per_second(start + 2_100 * MS), 500);
    }
}
