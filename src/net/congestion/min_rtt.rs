//! Estimates the round-trip time of the path without queues.
//!
//! When our own queue is drained, the round-trip time consists of the propagation delay, the jitter of the path and the
//! queues of other flows. The *drained RTT* is the lower quartile of the round-trip times of a drain: on a path with
//! jitter, the minimum is an outlier. The *min RTT* is the lowest drained RTT of the last 30 s.
//!
//! The *mean RTT* depends on the rate. At a low rate, each packet has only its own jitter; at a high rate, packets in
//! order wait for the slowest one before them. On a path of 50 ms with 5 ms of jitter each way, the mean was 54.8 ms at
//! 25 Mbit/s and 58.5 ms at 250 Mbit/s. With the mean of the first drains of start-up, the bandwidth-delay product
//! would be underestimated by 7 %. So once the rate has doubled, the mean of the latest drain counts, as far as the
//! round-trip times of the lowest drain reached: more than that would be the queue of another flow.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a drained RTT counts. With a shorter window, the queue of another flow becomes part of the min RTT; with a
/// longer one, the controller takes too long to accept that a route has become longer.
const WINDOW: Duration = Duration::from_secs(30);

/// Estimates the round-trip time of the path without queues.
#[derive(Debug, Clone)]
pub(super) struct MinRttEstimator {
    drains: VecDeque<DrainedRtt>,
    /// The shortest round-trip time so far. It is used until the first drain.
    shortest: Duration,
}

#[derive(Debug, Clone, Copy)]
struct DrainedRtt {
    at: Instant,
    /// The send rate in bytes per second.
    rate: f64,
    lower_quartile: Duration,
    mean: Duration,
    longest: Duration,
}

impl MinRttEstimator {
    pub(super) fn new() -> Self {
        Self { drains: VecDeque::new(), shortest: Duration::MAX }
    }

    /// Records a round-trip time.
    pub(super) fn on_rtt(&mut self, rtt: Duration) {
        self.shortest = self.shortest.min(rtt);
    }

    /// Records the round-trip times of a drain that sent at `rate`, in bytes per second. Returns the drained RTT, or
    /// `None` if `rtts` is empty.
    pub(super) fn on_drain(&mut self, now: Instant, rate: f64, rtts: &mut [Duration]) -> Option<Duration> {
        let lower_quartile = lower_quartile(rtts)?;
        let mean = rtts.iter().sum::<Duration>() / rtts.len() as u32;
        let highest = (lower_quartile * 2).max(lower_quartile + Duration::from_millis(10));
        let (mean, longest) = (mean.clamp(lower_quartile, highest), rtts.last()?.min(&highest));
        self.drains.push_back(DrainedRtt { at: now, rate, lower_quartile, mean, longest: *longest });
        while self.drains.len() > 1 && now.saturating_duration_since(self.drains[0].at) > WINDOW {
            self.drains.pop_front();
        }
        Some(lower_quartile)
    }

    /// The min RTT, or `None` before the first round trip.
    pub(super) fn min(&self) -> Option<Duration> {
        self.lowest().map(|drain| drain.lower_quartile).or_else(|| self.shortest())
    }

    /// The mean round-trip time without a queue. Its product with the bandwidth is the number of bytes on the path
    /// (Little's law).
    pub(super) fn mean(&self) -> Option<Duration> {
        let Some((lowest, latest)) = self.lowest().zip(self.drains.back()) else { return self.shortest() };
        let has_doubled = latest.rate >= 2.0 * lowest.rate;
        Some(if has_doubled { latest.mean.clamp(lowest.mean, lowest.longest) } else { lowest.mean })
    }

    /// The variation of round-trip times without a queue: the mean minus the lower quartile of the lowest drain.
    pub(super) fn jitter(&self) -> Duration {
        self.lowest().map_or(Duration::ZERO, |drain| drain.mean - drain.lower_quartile)
    }

    /// Discards all drained RTTs but the latest.
    pub(super) fn retain_latest(&mut self) {
        self.drains.drain(..self.drains.len().saturating_sub(1));
    }

    fn lowest(&self) -> Option<&DrainedRtt> {
        self.drains.iter().min_by_key(|drain| drain.lower_quartile)
    }

    fn shortest(&self) -> Option<Duration> {
        Some(self.shortest).filter(|shortest| *shortest < Duration::MAX)
    }
}

/// Returns the lower quartile. It is limited to half of the minimum, or 5 ms, above the minimum, because a larger
/// difference is not jitter.
fn lower_quartile(rtts: &mut [Duration]) -> Option<Duration> {
    rtts.sort_unstable();
    let (min, quartile) = (*rtts.first()?, rtts[rtts.len() / 4]);
    Some(quartile.min((min * 3 / 2).max(min + Duration::from_millis(5))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_short_round_trip_does_not_set_the_min_rtt() {
        let mut estimator = MinRttEstimator::new();
        let mut rtts: Vec<Duration> = (0..100).map(|i| 25 * MS + i % 50 * MS / 10).collect();
        rtts.push(20 * MS);
        let drained = estimator.on_drain(Instant::now(), 1.0, &mut rtts).unwrap();
        assert!((25 * MS..27 * MS).contains(&drained), "{drained:?}");
        assert!(estimator.mean().unwrap() > 27 * MS && estimator.jitter() > MS, "{estimator:?}");
    }

    #[test]
    fn the_mean_follows_a_doubled_rate_within_the_range_of_the_lowest_drain() {
        let (now, mut estimator) = (Instant::now(), MinRttEstimator::new());
        let drains = [(1.0, [52, 53, 54, 58]), (1.9, [57; 4]), (2.0, [57; 4]), (9.0, [70; 4]), (1.0, [57; 4])];
        let means = drains.map(|(rate, rtts)| {
            estimator.on_drain(now, rate, &mut rtts.map(|ms| ms * MS));
            estimator.mean().unwrap()
        });
        assert_eq!(means, [54_250, 54_250, 57_000, 58_000, 54_250].map(Duration::from_micros));
        assert_eq!(estimator.min(), Some(53 * MS));
    }

    #[test]
    fn a_drained_rtt_counts_for_30_seconds() {
        let begin = Instant::now();
        let mut estimator = MinRttEstimator::new();
        estimator.on_rtt(50 * MS);
        assert_eq!(estimator.min(), Some(50 * MS));
        for (seconds, rtt) in [(0, 50), (10, 90), (20, 80), (29, 95)] {
            estimator.on_drain(begin + Duration::from_secs(seconds), 1.0, &mut [rtt * MS]);
            assert_eq!(estimator.min(), Some(50 * MS), "{seconds} s");
        }
        estimator.on_drain(begin + Duration::from_secs(31), 1.0, &mut [99 * MS]);
        assert_eq!(estimator.min(), Some(80 * MS));
        estimator.on_drain(begin + Duration::from_secs(3_600), 1.0, &mut [99 * MS]);
        assert_eq!(estimator.min(), Some(99 * MS), "the latest drain always counts");
    }
}
