//! A round: about one round trip, counted in acknowledgements.

use std::time::Duration;

use super::delivery_rate::RateSample;

/// The measurements of the current round. A round ends when a packet is acknowledged that was sent after the round
/// began.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    /// Bytes that were delivered when the round began.
    delivered_at_start: u64,
    /// Whether the application sent less than the window allowed.
    pub(super) app_limited: bool,
    /// The shortest round-trip time of the round.
    pub(super) min_rtt: Option<Duration>,
    /// The longest round-trip time of the round.
    pub(super) max_rtt: Duration,
}

impl Round {
    /// Starts a round after `delivered` bytes.
    pub(super) fn starting_at(delivered: u64) -> Self {
        Self { delivered_at_start: delivered, ..Self::default() }
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, sample: &RateSample) {
        self.min_rtt = Some(self.min_rtt.map_or(sample.rtt, |min| min.min(sample.rtt)));
        self.max_rtt = self.max_rtt.max(sample.rtt);
        self.app_limited |= sample.app_limited;
    }

    /// Whether `sample` ends the round.
    pub(super) fn is_ended_by(&self, sample: &RateSample) -> bool {
        sample.delivered_before >= self.delivered_at_start
    }
}
