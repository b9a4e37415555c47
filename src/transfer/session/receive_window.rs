//! The receiver's side of credit: how far ahead the sender may send.
//!
//! QUIC's flow control cannot bound the sealed stream: reading a stream grants QUIC credit, and every stream must be
//! read. So the receiver grants credit of its own, as the highest offset that the sender may send.
//!
//! The window starts at 256 KiB and follows the rate at which the receiver drains, like TCP's receive buffer (Dynamic
//! Right-Sizing, Fisk and Feng 2001). It is twice the bytes drained in one round trip. While that number grows, the
//! window also covers its further growth. The window never limits a fast receiver, and a slow receiver occupies no more
//! of the relay's memory than it needs.
//!
//! Where packets are lost, bytes wait behind gaps for several round trips on either leg, and the receiver cannot see
//! for how long. So it tries a larger window from time to time, and keeps it if the rate rises. A trial doubles the
//! window; after a trial has failed, later ones enlarge it by half.

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::peer::{Credit, INITIAL_CREDIT};

/// The largest window, whatever a relay claims to allow: data that is granted and not drained may occupy this process's
/// memory. It fills 1 Gbit/s at a round-trip time of 250 ms.
pub(super) const MAX_WINDOW: u64 = 32 * 1024 * 1024;

/// The receiver acknowledges at the latest after it has drained this many bytes. The sender may wait for that.
pub(super) const MAX_UNACKNOWLEDGED: u64 = 1024 * 1024;

/// The shortest round. On a fast path the round-trip time is far below the time in which the three processes are
/// scheduled, and a window of one round trip would starve them.
const MIN_ROUND: Duration = Duration::from_millis(10);

/// The longest round. The sender's first answer may be late because other receivers are served first, or because an
/// attacker on the path delays it.
const MAX_ROUND: Duration = Duration::from_secs(1);

/// For this many rounds after a gap, the window follows the average of three rounds.
const ROUNDS_AFTER_GAP: u32 = 3;

/// Rounds without a trial after a round in which the rate has grown on its own: the window follows that growth.
const ROUNDS_AFTER_GROWTH: u32 = 2;

/// Rounds without a trial after one that has not helped, or that a larger window could not help.
const ROUNDS_AFTER_TRIAL: u32 = 16;

/// Decides when to grant how much credit.
#[derive(Debug)]
pub struct ReceiveWindow {
    size: u64,
    max_size: u64,
    /// The highest offset granted so far.
    granted: u64,
    /// The highest offset acknowledged so far.
    acknowledged: u64,
    /// The time over which drained bytes are counted: the round-trip time within [`MIN_ROUND`] and [`MAX_ROUND`].
    round: Duration,
    round_start: Instant,
    /// The drained offset at `round_start`.
    drained_at_start: u64,
    /// Bytes drained in the last round.
    last_round: u64,
    /// Bytes drained in the round before the last.
    round_before_last: u64,
    /// Rounds since one that drained less than half of the bytes of its predecessor.
    rounds_since_gap: u32,
    /// Whether the last round was late.
    was_late: bool,
    trial: Trial,
    /// Whether a trial has failed.
    has_trial_failed: bool,
}

/// A trial of a larger window. Each window is judged by the bytes that were sent under it: from the offset at which its
/// predecessor ended to the offset at which it ends itself. A trial takes as long as bytes wait on the path.
#[derive(Debug)]
enum Trial {
    /// No trial for this many rounds.
    Idle(u32),
    /// Bytes sent under the previous window are still being drained, up to this offset.
    Settling { baseline: Option<Baseline>, until: u64 },
    /// Bytes sent under this window are counted from offset `from` to offset `until`.
    Measuring { baseline: Option<Baseline>, since: Instant, from: u64, until: u64 },
}

/// The window before the trial, and its rate in bytes per second.
#[derive(Debug, Clone, Copy)]
struct Baseline {
    size: u64,
    rate: f64,
}

impl ReceiveWindow {
    /// Creates a window of at most `max_size` bytes (the bound of the relay) for a path with round-trip time `rtt`.
    pub fn new(max_size: u64, rtt: Duration, now: Instant) -> Self {
        Self {
            size: INITIAL_CREDIT,
            max_size: max_size.clamp(INITIAL_CREDIT, MAX_WINDOW),
            granted: INITIAL_CREDIT,
            acknowledged: 0,
            round: rtt.clamp(MIN_ROUND, MAX_ROUND),
            round_start: now,
            drained_at_start: 0,
            last_round: 0,
            round_before_last: 0,
            rounds_since_gap: ROUNDS_AFTER_GAP,
            was_late: false,
            trial: Trial::Idle(ROUNDS_AFTER_GROWTH),
            has_trial_failed: false,
        }
    }

    /// Returns the size that the window never exceeds, in bytes.
    pub fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Returns the highest offset granted so far. A sender that exceeds it violates the protocol.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Records that everything below offset `drained` has been received and processed. Returns the credit to send, if
    /// any is due.
    pub fn note_drained(&mut self, drained: u64, now: Instant) -> Option<Credit> {
        let elapsed = now.duration_since(self.round_start);
        if elapsed >= self.round {
            self.end_round(drained - self.drained_at_start, elapsed);
            self.round_start = now;
            self.drained_at_start = drained;
        }
        self.advance_trial(drained, now);
        let limit = drained + self.size;
        if limit >= self.granted + self.size / 4 {
            self.granted = limit;
        } else if drained < self.acknowledged + MAX_UNACKNOWLEDGED {
            return None;
        }
        self.acknowledged = drained;
        Some(Credit { limit: self.granted, received: drained })
    }

    /// Adjusts the window to a round that has drained `in_round` bytes in `elapsed`.
    fn end_round(&mut self, in_round: u64, elapsed: Duration) {
        /// A round is late if it takes this many times its length. Its bytes have accumulated somewhere and do not
        /// show the rate of the path.
        const LATE: u32 = 4;
        let is_late = elapsed > self.round * LATE;
        if !is_late && !self.was_late {
            let wanted = self.wanted_size(in_round);
            self.size = self.size.max(wanted).min(self.max_size);
        }
        if let Trial::Idle(rounds) = &mut self.trial {
            // While the rate grows on its own, a trial cannot show that a larger window helps.
            let grows = in_round > self.last_round + self.last_round / 4;
            *rounds = if grows && !self.has_trial_failed { ROUNDS_AFTER_GROWTH } else { rounds.saturating_sub(1) };
        }
        self.was_late = is_late;
        let is_gap = in_round < self.last_round / 2;
        self.rounds_since_gap = if is_gap { 0 } else { self.rounds_since_gap.saturating_add(1) };
        self.round_before_last = self.last_round;
        self.last_round = in_round;
    }

    /// Returns the window size for the rate of a round that has drained `in_round` bytes.
    fn wanted_size(&self, in_round: u64) -> u64 {
        if self.rounds_since_gap < ROUNDS_AFTER_GAP {
            // The bytes behind a gap arrive in a burst once it is filled: three rounds together show the rate.
            return in_round.saturating_add(self.last_round).saturating_add(self.round_before_last).saturating_mul(2)
                / 3;
        }
        // Bytes granted now are drained one round trip later, when a growing rate has grown further. Without this
        // term a path of 1 Gbit/s × 200 ms took 4.8 s to fill; with unlimited credit it takes 1.8 s.
        let growth = in_round.saturating_sub(self.last_round).min(self.last_round);
        in_round.saturating_mul(2).saturating_add(growth.saturating_mul(4))
    }

    /// Starts, continues or judges a trial, if one is due.
    fn advance_trial(&mut self, drained: u64, now: Instant) {
        /// The least bytes that a measurement counts. Content arrives in records, and a few records show no rate.
        const MIN_MEASURED: u64 = 1024 * 1024;
        match self.trial {
            Trial::Idle(0) => self.trial = Trial::Settling { baseline: None, until: drained },
            Trial::Settling { baseline, until } if drained >= until => {
                let until = self.granted.max(drained + MIN_MEASURED);
                self.trial = Trial::Measuring { baseline, since: now, from: drained, until };
            }
            Trial::Measuring { baseline, since, from, until } if drained >= until => {
                let rate = (drained - from) as f64 / now.duration_since(since).as_secs_f64().max(1e-3);
                self.judge_trial(baseline, rate);
            }
            _ => {}
        }
    }

    /// Keeps or reverts the window whose rate was measured, and enlarges it further if that may help.
    fn judge_trial(&mut self, baseline: Option<Baseline>, rate: f64) {
        /// The most round trips for which bytes wait. A window that covers them is not enlarged. At a loss of one
        /// packet in ten, bytes wait for four round trips of each leg, and a leg's round trip is half of the path's.
        const MAX_WAIT: f64 = 5.0;
        /// Bytes that wait for the rest of their record.
        const RECORDS: f64 = INITIAL_CREDIT as f64;
        /// A larger window has helped if the rate rises by this factor. A smaller rise may be chance.
        const BETTER: f64 = 1.1;
        let round = self.round.as_secs_f64();
        if let Some(baseline) = baseline
            && rate < BETTER * baseline.rate
        {
            self.has_trial_failed = true;
            self.size = baseline.size.max((2.0 * rate * round) as u64).min(self.max_size);
            self.trial = Trial::Idle(ROUNDS_AFTER_TRIAL);
        } else if MAX_WAIT * rate * round + RECORDS < self.size as f64 {
            self.trial = Trial::Idle(ROUNDS_AFTER_TRIAL);
        } else {
            let baseline = Some(Baseline { size: self.size, rate });
            self.trial = Trial::Settling { baseline, until: self.granted };
            let increase = if self.has_trial_failed { self.size / 2 } else { self.size };
            self.size = (self.size + increase).min(self.max_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Drains at `rate` bytes per second for a second, in steps of a millisecond, and returns the window size.
    fn size_after(rate: u64, rtt_ms: u64, max_size: u64) -> u64 {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(max_size, Duration::from_millis(rtt_ms), start);
        for ms in 1..=1_000 {
            window.note_drained(rate * ms / 1_000, start + Duration::from_millis(ms));
        }
        window.size
    }

    #[test]
    fn the_window_does_not_limit_a_rate_that_doubles_every_round() {
        let (start, round) = (Instant::now(), Duration::from_millis(200));
        let mut window = ReceiveWindow::new(32 * MIB, round, start);
        let (mut drained, mut rate) = (0, INITIAL_CREDIT / 2);
        for n in 1..8u32 {
            drained += rate;
            window.note_drained(drained, start + round * n);
            rate *= 2;
            assert!(n == 1 || window.size >= (2 * rate).min(32 * MIB), "round {n}: {} for {rate}", window.size);
        }
    }

    #[test]
    fn a_burst_after_a_late_round_does_not_enlarge_the_window() {
        let (start, round) = (Instant::now(), Duration::from_millis(40));
        let mut window = ReceiveWindow::new(32 * MIB, round, start);
        window.note_drained(1_000, start + round);
        window.note_drained(MIB, start + round * 200);
        window.note_drained(5 * MIB, start + round * 201);
        assert_eq!(window.size, INITIAL_CREDIT);
        window.note_drained(6 * MIB, start + round * 202);
        assert_eq!(window.size, 2 * MIB);
    }

    #[test]
    fn a_fast_receiver_gets_the_bandwidth_delay_product() {
        let bdp = 125_000_000 / 5; // 1 Gbit/s, 200 ms
        assert!(size_after(125_000_000, 200, 64 * MIB) >= bdp);
        assert!(size_after(125_000_000, 200, 16 * MIB) == 16 * MIB, "the window never exceeds the bound of the relay");
    }

    #[test]
    fn a_slow_receiver_keeps_the_initial_window() {
        assert_eq!(size_after(1_000_000, 100, 64 * MIB), INITIAL_CREDIT);
        assert_eq!(size_after(0, 100, 64 * MIB), INITIAL_CREDIT);
    }

    #[test]
    fn the_window_is_bounded_whatever_the_relay_claims() {
        assert_eq!(size_after(10_000_000_000, 1, u64::MAX), MAX_WINDOW);
        assert_eq!(size_after(10_000_000_000, 1, 0), INITIAL_CREDIT);
        let start = Instant::now();
        let mut window = ReceiveWindow::new(MAX_WINDOW, Duration::from_secs(40), start);
        window.note_drained(MIB, start + Duration::from_secs(2));
        assert_eq!(window.size, 2 * MIB, "a delayed first answer does not hold back the window");
    }

    #[test]
    fn credit_never_falls() {
        let start = Instant::now();
        let mut window = ReceiveWindow::new(16 * MIB, Duration::from_millis(1), start);
        let mut last = INITIAL_CREDIT;
        for step in 0..10_000u64 {
            if let Some(credit) = window.note_drained(step * 1_000, start + Duration::from_micros(step * 37)) {
                assert!(credit.limit >= last && credit.limit == window.granted());
                last = credit.limit;
            }
        }
    }
}
