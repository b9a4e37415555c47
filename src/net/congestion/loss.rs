//! Distinguishes random packet loss from the loss that congestion causes.
//!
//! Loss while our queue is empty is random, in particular the loss in a drain, when fewer bytes are in flight than the
//! path holds. A policer and a very short queue drop packets without raising the round-trip time, but they stop as soon
//! as the rate falls. A radio link continues to lose packets.

use super::flight_level::FlightLevel;

/// The number of packets over which the random loss is averaged.
const AVERAGED_PACKETS: f64 = 2000.0;

/// Why the packets of a round were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LossCause {
    Random,
    Congestion,
}

/// How far a drain lowers the bytes in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DrainDepth {
    Normal,
    /// The window leaves no room for packets that are lost at random.
    Deep {
        random_loss: f64,
    },
}

/// Estimates the fraction of packets that is lost at random, and the loss above it.
#[derive(Debug, Clone, Default)]
pub(super) struct LossEstimator {
    /// Packets sent while the queue was empty.
    unqueued: LossCount,
    unqueued_in_round: LossCount,
    /// Packets sent while a drain was in effect.
    drained: LossCount,
    drained_in_drain: LossCount,
    round: LossCount,
    bursts: LossBursts,
}

impl LossEstimator {
    /// Records packets that were sent at `level` and were acknowledged or lost. `queue_empty` says whether the queue
    /// was empty.
    pub(super) fn record(&mut self, acked: f64, lost: f64, level: FlightLevel, queue_empty: bool) {
        self.round.acked += acked;
        self.round.lost += lost;
        if queue_empty && level != FlightLevel::Above {
            self.unqueued_in_round.acked += acked;
            self.unqueued_in_round.lost += lost;
        }
        if level == FlightLevel::Below {
            self.drained_in_drain.acked += acked;
            self.drained_in_drain.lost += lost;
        }
        if lost > 0.0 && level != FlightLevel::Above {
            self.bursts.add(lost);
        }
    }

    /// The fraction of packets that is lost at random.
    pub(super) fn random_loss(&self) -> f64 {
        /// With a higher loss the window would grow without bound.
        const MAX: f64 = 0.5;
        self.unqueued.fraction().clamp(self.drained.lower_bound(), self.drained.upper_bound()).min(MAX)
    }

    /// Returns the fraction of the current round's packets whose loss neither random loss nor chance explains, if that
    /// is significant.
    pub(super) fn excess(&self) -> Option<f64> {
        /// A smaller fraction does not justify a reaction.
        const TOLERATED: f64 = 0.02;
        let round = &self.round;
        let expected = self.random_loss() * round.total();
        let excess = round.lost - expected;
        let chance = 3.0 * (expected * self.bursts.dispersion()).sqrt() + 2.0;
        (excess > chance && excess > TOLERATED * round.total()).then(|| excess / round.total())
    }

    /// Ends a drain. `depth` is `None` if the drain was not effective; its loss then does not count. A deep drain
    /// weighs more than those before it.
    pub(super) fn end_drain(&mut self, depth: Option<DrainDepth>) {
        let drained = std::mem::take(&mut self.drained_in_drain);
        let Some(depth) = depth else { return };
        if let DrainDepth::Deep { .. } = depth {
            self.drained.acked /= 2.0;
            self.drained.lost /= 2.0;
        }
        self.drained.add(drained.acked, drained.lost);
    }

    /// Ends a round. The loss without a queue counts as random unless congestion caused it.
    pub(super) fn end_round(&mut self, cause: LossCause) {
        let unqueued = std::mem::take(&mut self.unqueued_in_round);
        self.round = LossCount::default();
        if cause == LossCause::Random {
            self.unqueued.add(unqueued.acked, unqueued.lost);
        }
    }
}

/// Counts acknowledged and lost packets. Older ones lose weight.
#[derive(Debug, Clone, Copy, Default)]
struct LossCount {
    acked: f64,
    lost: f64,
}

impl LossCount {
    fn add(&mut self, acked: f64, lost: f64) {
        self.acked += acked;
        self.lost += lost;
        let total = self.total();
        if total > AVERAGED_PACKETS {
            self.acked *= AVERAGED_PACKETS / total;
            self.lost *= AVERAGED_PACKETS / total;
        }
    }

    fn total(&self) -> f64 {
        self.acked + self.lost
    }

    fn fraction(&self) -> f64 {
        if self.total() > 0.0 { self.lost / self.total() } else { 0.0 }
    }

    /// The fraction, minus two standard deviations of the count.
    fn lower_bound(&self) -> f64 {
        let lost = self.lost - 2.0 * (self.lost + 1.0).sqrt() - 1.0;
        if self.total() > 0.0 { (lost / self.total()).max(0.0) } else { 0.0 }
    }

    /// The fraction, plus two standard deviations of the count.
    fn upper_bound(&self) -> f64 {
        let lost = self.lost + 2.0 * (self.lost + 1.0).sqrt() + 1.0;
        if self.total() > 0.0 { (lost / self.total()).min(1.0) } else { 1.0 }
    }
}

/// How many packets are lost together.
#[derive(Debug, Clone, Copy, Default)]
struct LossBursts {
    packets: f64,
    squares: f64,
}

impl LossBursts {
    fn add(&mut self, lost: f64) {
        /// The number of lost packets over which the bursts are averaged.
        const AVERAGED_LOSSES: f64 = 100.0;
        self.packets += lost;
        self.squares += lost * lost;
        if self.packets > AVERAGED_LOSSES {
            self.squares *= AVERAGED_LOSSES / self.packets;
            self.packets = AVERAGED_LOSSES;
        }
    }

    /// The factor by which the variance of a count of lost packets exceeds the variance for independent losses.
    fn dispersion(&self) -> f64 {
        if self.packets > 0.0 { (self.squares / self.packets).max(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(loss: &mut LossEstimator, count: usize, acked: f64, lost: f64, level: FlightLevel) {
        for _ in 0..count {
            (0..lost as usize).for_each(|_| loss.record(0.0, 1.0, level, true));
            loss.record(acked, 0.0, level, true);
            loss.end_round(LossCause::Random);
            loss.end_drain(Some(DrainDepth::Normal));
        }
    }

    #[test]
    fn loss_that_continues_in_drains_is_random() {
        let mut loss = LossEstimator::default();
        rounds(&mut loss, 10, 95.0, 5.0, FlightLevel::At);
        rounds(&mut loss, 10, 95.0, 5.0, FlightLevel::Below);
        assert!((0.049..0.051).contains(&loss.random_loss()), "{}", loss.random_loss());
        loss.record(92.0, 8.0, FlightLevel::At, true);
        assert_eq!(loss.excess(), None, "chance explains it");
        loss.record(70.0, 0.0, FlightLevel::At, true);
        (0..30).for_each(|_| loss.record(0.0, 1.0, FlightLevel::At, true));
        assert!(loss.excess().is_some());
    }

    #[test]
    fn loss_that_stops_in_drains_is_not_random() {
        let mut loss = LossEstimator::default();
        rounds(&mut loss, 10, 80.0, 20.0, FlightLevel::At);
        assert!(loss.random_loss() > 0.15);
        rounds(&mut loss, 10, 100.0, 0.0, FlightLevel::Below);
        assert!(loss.random_loss() < 0.01, "{}", loss.random_loss());
    }

    #[test]
    fn a_burst_of_losses_counts_as_one_event() {
        let mut loss = LossEstimator::default();
        for _ in 0..10 {
            loss.record(388.0, 12.0, FlightLevel::At, true);
            loss.end_round(LossCause::Random);
        }
        loss.record(364.0, 36.0, FlightLevel::At, true);
        assert_eq!(loss.excess(), None, "three bursts instead of one are chance");
        let mut single = LossEstimator::default();
        rounds(&mut single, 10, 388.0, 12.0, FlightLevel::At);
        single.record(364.0, 0.0, FlightLevel::At, true);
        (0..36).for_each(|_| single.record(0.0, 1.0, FlightLevel::At, true));
        assert!(single.excess().is_some());
    }
}
