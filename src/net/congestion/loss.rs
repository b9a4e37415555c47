//! The loss of the line itself, told from what congestion loses.
//!
//! What is lost while no queue of ours stands is the line's own: above all after a drain, when less is on its way than
//! the line holds. A policer and a queue of a few packets lose without any rise of the round trip, but then they lose
//! nothing once we send less; a radio goes on.

/// Bytes whose fate is remembered where all is quiet, in packets.
const REMEMBERED: f64 = 2000.0;

/// A share of lost packets that fades.
#[derive(Debug, Clone, Copy, Default)]
struct LossShare {
    /// In packets.
    acked: f64,
    lost: f64,
}

impl LossShare {
    fn add(&mut self, acked: f64, lost: f64) {
        self.acked += acked;
        self.lost += lost;
        let all = self.acked + self.lost;
        if all > REMEMBERED {
            self.acked *= REMEMBERED / all;
            self.lost *= REMEMBERED / all;
        }
    }

    fn all(&self) -> f64 {
        self.acked + self.lost
    }

    fn get(&self) -> f64 {
        if self.all() > 0.0 { self.lost / self.all() } else { 0.0 }
    }

    /// What it is at least, by two standard deviations of a count.
    fn at_least(&self) -> f64 {
        let lost = self.lost - 2.0 * (self.lost + 1.0).sqrt() - 1.0;
        if self.all() > 0.0 { (lost / self.all()).max(0.0) } else { 0.0 }
    }

    /// What it is at most, by two standard deviations of a count.
    fn at_most(&self) -> f64 {
        let lost = self.lost + 2.0 * (self.lost + 1.0).sqrt() + 1.0;
        if self.all() > 0.0 { (lost / self.all()).min(1.0) } else { 1.0 }
    }
}

/// When a packet was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Less was on its way than the line holds.
    Drained,
    /// About as much as the line holds.
    Full,
    /// More than the line holds.
    Probing,
}

/// What is lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Loss {
    quiet: LossShare,
    quiet_in_round: LossShare,
    drained: LossShare,
    drained_in_round: LossShare,
    round: LossShare,
    bursts: Bursts,
}

/// Packets that were lost together.
#[derive(Debug, Clone, Copy, Default)]
struct Bursts {
    packets: f64,
    squares: f64,
}

impl Bursts {
    fn add(&mut self, lost: f64) {
        /// Packets that are remembered.
        const REMEMBERED: f64 = 100.0;
        self.packets += lost;
        self.squares += lost * lost;
        if self.packets > REMEMBERED {
            self.squares *= REMEMBERED / self.packets;
            self.packets = REMEMBERED;
        }
    }

    /// By how much the variance of a count of lost packets exceeds that of independent ones.
    fn dispersion(&self) -> f64 {
        if self.packets > 0.0 { (self.squares / self.packets).max(1.0) } else { 1.0 }
    }
}

impl Loss {
    /// So many packets arrived or were lost, sent at such a time; `quiet` where no queue stood.
    pub(super) fn note(&mut self, acked: f64, lost: f64, when: When, quiet: bool) {
        self.round.acked += acked;
        self.round.lost += lost;
        if quiet && when != When::Probing {
            self.quiet_in_round.acked += acked;
            self.quiet_in_round.lost += lost;
        }
        if when == When::Drained {
            self.drained_in_round.acked += acked;
            self.drained_in_round.lost += lost;
        }
        if lost > 0.0 && when != When::Probing {
            self.bursts.add(lost);
        }
    }

    /// The share that the line loses by itself.
    pub(super) fn own(&self) -> f64 {
        /// Lines that lose more are not filled: the window would grow without bound.
        const MOST: f64 = 0.5;
        self.quiet.get().clamp(self.drained.at_least(), self.drained.at_most()).min(MOST)
    }

    /// How much more the round has lost than the line's own share and chance explain: a share of the round.
    pub(super) fn excess(&self) -> Option<f64> {
        /// Less than this is not worth a reaction.
        const TOLERATED: f64 = 0.02;
        let round = &self.round;
        let expected = self.own() * round.all();
        let excess = round.lost - expected;
        let dispersion = self.bursts.dispersion();
        let chance = 3.0 * (expected * dispersion).sqrt() + 2.0;
        (excess > chance && excess > TOLERATED * round.all()).then(|| excess / round.all())
    }

    /// A drain is over. What was lost in it counts where it was `effective`: less was on its way than the line holds.
    /// A `deep` one weighs more than those before it.
    pub(super) fn end_drain(&mut self, effective: bool, deep: bool) {
        let drained = std::mem::take(&mut self.drained_in_round);
        if effective {
            if deep {
                self.drained.acked /= 2.0;
                self.drained.lost /= 2.0;
            }
            self.drained.add(drained.acked, drained.lost);
        }
    }

    /// The next round begins. What this one lost while all was quiet counts as the line's own, if it is `innocent`.
    pub(super) fn end_round(&mut self, innocent: bool) {
        let quiet = std::mem::take(&mut self.quiet_in_round);
        self.round = LossShare::default();
        if innocent {
            self.quiet.add(quiet.acked, quiet.lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(loss: &mut Loss, count: usize, acked: f64, lost: f64, when: When) {
        for _ in 0..count {
            (0..lost as usize).for_each(|_| loss.note(0.0, 1.0, when, true));
            loss.note(acked, 0.0, when, true);
            loss.end_round(true);
            loss.end_drain(true, false);
        }
    }

    #[test]
    fn a_radio_loses_while_the_line_is_not_full() {
        let mut loss = Loss::default();
        rounds(&mut loss, 10, 95.0, 5.0, When::Full);
        rounds(&mut loss, 10, 95.0, 5.0, When::Drained);
        assert!((0.049..0.051).contains(&loss.own()), "{}", loss.own());
        loss.note(92.0, 8.0, When::Full, true);
        assert_eq!(loss.excess(), None, "chance explains it");
        loss.note(70.0, 0.0, When::Full, true);
        (0..30).for_each(|_| loss.note(0.0, 1.0, When::Full, true));
        assert!(loss.excess().is_some());
    }

    #[test]
    fn a_policer_loses_nothing_once_less_is_sent() {
        let mut loss = Loss::default();
        rounds(&mut loss, 10, 80.0, 20.0, When::Full);
        assert!(loss.own() > 0.15);
        rounds(&mut loss, 10, 100.0, 0.0, When::Drained);
        assert!(loss.own() < 0.01, "{}", loss.own());
    }

    #[test]
    fn what_is_lost_together_counts_as_one_event() {
        let mut loss = Loss::default();
        for _ in 0..10 {
            loss.note(388.0, 12.0, When::Full, true);
            loss.end_round(true);
        }
        loss.note(364.0, 36.0, When::Full, true);
        assert_eq!(loss.excess(), None, "three bursts instead of one");
        let mut single = Loss::default();
        rounds(&mut single, 10, 388.0, 12.0, When::Full);
        single.note(364.0, 0.0, When::Full, true);
        (0..36).for_each(|_| single.note(0.0, 1.0, When::Full, true));
        assert!(single.excess().is_some());
    }
}
