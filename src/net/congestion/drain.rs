//! A drain: for a short time fewer bytes are in flight than the path holds, so that measurements exclude our queue.

use std::time::{Duration, Instant};

use super::{delivery_rate::RateSample, loss::DrainDepth, min_rtt::MinRttEstimator};

/// A drain sends at this fraction of the bandwidth, because the bandwidth may be overestimated by a tenth.
const DRAIN_GAIN: f64 = 0.9;

/// If less than this fraction of a drain's rate is delivered, the bandwidth was overestimated by more than a tenth.
const MIN_DELIVERED: f64 = 0.8;

/// The minimum number of samples for a drained RTT.
const MIN_RTTS: usize = 4;

/// The measurements of a drain.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    began: Instant,
    /// The longest round-trip time since the drain began.
    longest_rtt: Duration,
    /// When the bytes in flight fell to the window of the drain.
    effective_since: Option<Instant>,
    /// The round-trip times of packets sent since then.
    rtts: Vec<Duration>,
    /// The bandwidth before the probe that is evaluated at the end of this drain.
    bandwidth_before: f64,
    /// Bytes per second to send in this drain.
    rate: f64,
    depth: DrainDepth,
}

impl Drain {
    /// Starts a drain that sends at less than `bandwidth`, in bytes per second.
    pub(super) fn new(now: Instant, bandwidth_before: f64, bandwidth: f64, depth: DrainDepth) -> Self {
        let gain = match depth {
            DrainDepth::Normal => DRAIN_GAIN,
            DrainDepth::Deep { random_loss } => DRAIN_GAIN * (1.0 - random_loss),
        };
        let rate = gain * bandwidth;
        Self {
            began: now,
            longest_rtt: Duration::ZERO,
            effective_since: None,
            rtts: Vec::new(),
            bandwidth_before,
            rate,
            depth,
        }
    }

    /// Whether the drain takes effect now: the bytes in flight have fallen to `window` for the first time.
    pub(super) fn takes_effect(&mut self, now: Instant, in_flight: f64, window: f64) -> bool {
        let takes_effect = self.effective_since.is_none() && in_flight <= window;
        if takes_effect {
            self.effective_since = Some(now);
        }
        takes_effect
    }

    /// Adds a sample. Returns whether the drain has measured enough.
    pub(super) fn add(&mut self, sample: &RateSample, min_rtt: Duration) -> bool {
        self.longest_rtt = self.longest_rtt.max(sample.rtt);
        let Some(effective) = self.effective_since.filter(|effective| sample.sent >= *effective) else { return false };
        self.rtts.push(sample.rtt);
        let sent_for = sample.sent.saturating_duration_since(effective);
        (sent_for >= min_rtt / 2 && self.rtts.len() >= MIN_RTTS) || sent_for >= min_rtt * 2
    }

    /// Reports the round-trip times to `min_rtt`, and returns the drained RTT.
    pub(super) fn report_rtts(&mut self, now: Instant, min_rtt: &mut MinRttEstimator) -> Option<Duration> {
        min_rtt.on_drain(now, self.rate, &mut self.rtts)
    }

    /// The longest round-trip time since the drain began. It contains the queue that the drain removes.
    pub(super) fn longest_rtt(&self) -> Duration {
        self.longest_rtt
    }

    /// The time since the drain began.
    pub(super) fn duration(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// The bandwidth before the probe that is evaluated at the end of this drain.
    pub(super) fn bandwidth_before(&self) -> f64 {
        self.bandwidth_before
    }

    /// Bytes per second to send in this drain.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// The depth, if `delivery_rate` is about as high as expected. Otherwise the bandwidth was overestimated: the queue
    /// did not empty, so the loss in this drain may not be random.
    pub(super) fn effective_depth(&self, delivery_rate: f64) -> Option<DrainDepth> {
        (delivery_rate >= MIN_DELIVERED * self.rate).then_some(self.depth)
    }
}
