//! The model of a path: its bandwidth, its round-trip time and its random loss.

use std::time::{Duration, Instant};

use super::{
    delivery_rate::{DeliveryRateEstimator, RateSample},
    loss::LossEstimator,
    min_rtt::MinRttEstimator,
    round::Round,
    windowed_max::WindowedMax,
};

/// The bandwidth is the highest delivery rate of this many rounds, which span at least two probes.
const BANDWIDTH_ROUNDS: u64 = 10;

/// The recent bandwidth is the highest delivery rate of this many rounds. A drain must send less than the path delivers
/// now.
const RECENT_ROUNDS: u64 = 3;

/// A round-trip time below this consists mostly of scheduling and delayed acknowledgements at both ends. It does not
/// describe the path: on loopback, the bandwidth-delay product would be only a few packets.
const SHORTEST_MIN_RTT: Duration = Duration::from_millis(3);

/// The model of a path.
#[derive(Debug, Clone)]
pub(super) struct PathModel {
    pub(super) packet_size: f64,
    pub(super) delivery: DeliveryRateEstimator,
    pub(super) min_rtt_estimator: MinRttEstimator,
    pub(super) loss: LossEstimator,
    pub(super) last_sample: Option<RateSample>,
    max_bandwidth: WindowedMax,
    /// The number of rounds in which the application had enough to send.
    busy_rounds: u64,
    /// The longest round-trip time of recent rounds.
    max_rtt: Duration,
}

impl PathModel {
    pub(super) fn new(now: Instant, packet_size: f64) -> Self {
        Self {
            packet_size,
            delivery: DeliveryRateEstimator::new(now),
            min_rtt_estimator: MinRttEstimator::new(),
            loss: LossEstimator::default(),
            last_sample: None,
            max_bandwidth: WindowedMax::default(),
            busy_rounds: 0,
            max_rtt: Duration::ZERO,
        }
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, sample: RateSample) {
        self.last_sample = Some(sample);
        self.min_rtt_estimator.on_rtt(sample.rtt);
        if !sample.app_limited || self.max_bandwidth.max().is_none_or(|max| sample.rate > max) {
            self.add_bandwidth(sample.rate);
        }
    }

    /// Adds an estimate of the bandwidth.
    pub(super) fn add_bandwidth(&mut self, rate: f64) {
        self.max_bandwidth.update(self.busy_rounds, rate, BANDWIDTH_ROUNDS);
    }

    /// Ends a round.
    pub(super) fn end_round(&mut self, round: &Round) {
        if !round.app_limited {
            self.busy_rounds += 1;
        }
        self.max_rtt = self.max_rtt.mul_f64(0.9).max(round.max_rtt);
    }

    /// The bandwidth in bytes per second; 0 before the first sample.
    pub(super) fn bandwidth(&self) -> f64 {
        self.max_bandwidth.max().unwrap_or(0.0)
    }

    /// The bandwidth of the latest rounds.
    pub(super) fn recent_bandwidth(&self) -> f64 {
        self.max_bandwidth.max_since(self.first_round_of(RECENT_ROUNDS)).unwrap_or_else(|| self.bandwidth())
    }

    /// Discards the delivery rates of rounds that [`PathModel::recent_bandwidth`] does not include.
    pub(super) fn retain_recent_bandwidth(&mut self) {
        self.max_bandwidth.forget_before(self.first_round_of(RECENT_ROUNDS));
    }

    /// Discards the delivery rates of all rounds but the latest two.
    pub(super) fn retain_latest_bandwidth(&mut self) {
        self.max_bandwidth.forget_before(self.first_round_of(2));
    }

    fn first_round_of(&self, rounds: u64) -> u64 {
        self.busy_rounds.saturating_sub(rounds - 1)
    }

    /// The min RTT, at least [`SHORTEST_MIN_RTT`].
    pub(super) fn min_rtt(&self) -> Duration {
        self.min_rtt_estimator.min().unwrap_or_default().max(SHORTEST_MIN_RTT)
    }

    /// The variation of round-trip times without a queue.
    pub(super) fn jitter(&self) -> Duration {
        self.min_rtt_estimator.jitter()
    }

    /// `factor` times the min RTT, and 1 ms for the inaccuracy of clocks and schedulers.
    pub(super) fn rtt_limit(&self, factor: f64) -> Duration {
        self.min_rtt().mul_f64(factor) + Duration::from_millis(1)
    }

    /// The fraction of packets that is lost at random.
    pub(super) fn random_loss(&self) -> f64 {
        self.loss.random_loss()
    }

    /// The bytes on the path at `rate`, in bytes per second, without a queue, including those that will be lost at
    /// random. A round-trip time below [`SHORTEST_MIN_RTT`] is raised to it; `headroom` scales the difference.
    pub(super) fn bdp_at(&self, rate: f64, headroom: f64) -> f64 {
        let mean = self.min_rtt_estimator.mean().unwrap_or_default();
        let allowance = SHORTEST_MIN_RTT.saturating_sub(mean).mul_f64(headroom);
        rate * (mean + allowance).as_secs_f64() / (1.0 - self.random_loss())
    }

    /// Whether the queue is empty, according to the latest round trip.
    pub(super) fn is_queue_empty(&self) -> bool {
        self.last_sample.is_none_or(|last| last.rtt <= self.rtt_limit(1.25))
    }

    /// Whether the queue is nearly full, according to the latest round trip.
    pub(super) fn is_queue_near_max(&self) -> bool {
        self.last_sample.is_some_and(|last| last.rtt > (self.min_rtt() + self.max_rtt) / 2)
    }

    /// Whether clearly fewer bytes were delivered than were in flight, beyond random loss.
    pub(super) fn is_saturated(&self) -> bool {
        self.last_sample.is_some_and(|last| {
            let sent = last.in_flight as f64 / self.packet_size * (1.0 - self.random_loss());
            let delivered = last.delivered as f64 / self.packet_size;
            delivered + 2.0 * sent.sqrt() < 0.8 * sent
        })
    }
}
