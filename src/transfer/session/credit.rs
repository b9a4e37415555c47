//! Credit: how much of the sealed stream may be on its way.
//!
//! QUIC's flow control cannot bound it (whoever reads a stream grants QUIC credit, and every stream must be read), so
//! the receiver says up to which offset the sender may go. The window begins at 256 KiB and follows the rate at which
//! the receiver really drains, as TCP's receive buffer does (Dynamic Right-Sizing, Fisk and Feng 2001): it is twice of
//! what was drained in a round trip, and as long as that grows twice of the growth more, so that a fast receiver is
//! never held back and a slow one keeps no more in the relay than it needs.
//!
//! Where packets are lost, bytes wait behind holes for several round trips, on either leg, and nobody at this end sees how
//! long. So from time to time a larger window is tried: if more comes through, it stays. Windows are twice as large at
//! first, and half as large again once that has brought nothing.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use crate::wire::peer::{Credit, INITIAL_CREDIT};

/// The shortest time over which draining is measured. On a fast short line the round trip is far below the time that
/// the three processes take to be scheduled, and a window of one round trip would starve them.
const SHORTEST_ROUND: Duration = Duration::from_millis(10);

/// The longest time over which draining is measured. The first answer of a sender may be late because others are before
/// us, or because somebody in between holds it back.
const LONGEST_ROUND: Duration = Duration::from_secs(1);

/// The largest window, whatever a relay says that it allows: what is granted and not drained may lie in this process's
/// memory. It fills 1 Gbit/s over 250 ms.
const MOST: u64 = 32 * 1024 * 1024;

/// The most that is sent ahead of what is acknowledged: the largest window, and what is on its way when it was granted.
const MOST_AHEAD: u64 = MOST + MOST / 4;

/// So much is drained before the sender hears of it at the latest: it may wait for that.
const UNTOLD: u64 = 1024 * 1024;

/// So many rounds after a gap, rounds are taken together.
const HEAP_ROUNDS: u32 = 3;

/// Rounds without a trial after one in which the rate has grown by itself: the window follows what is drained.
const TRIAL_AFTER: u32 = 2;

/// Rounds without a trial after one that brought nothing.
const TRIAL_PAUSE: u32 = 16;

/// The receiver's side: decides when to grant how much.
#[derive(Debug)]
pub struct ReceiveWindow {
    size: u64,
    most: u64,
    granted: u64,
    /// What the sender has heard of that was drained.
    told: u64,
    round: Duration,
    round_began: Instant,
    drained_then: u64,
    /// What was drained in the round before.
    last_round: u64,
    before_last: u64,
    /// Rounds since one in which less than half of the one before was drained.
    since_dip: u32,
    was_late: bool,
    trial: Trial,
    /// Whether a trial has brought nothing.
    has_failed: bool,
}

/// Whether a larger window brings more. Each is judged by the bytes that were sent under it: from the offset that
/// the one before ended at to the offset that it ends at itself, which takes as long as bytes wait on their way.
#[derive(Debug)]
enum Trial {
    /// None, for so many rounds.
    Rest(u32),
    /// What was sent under the window before is still being drained, up to this offset.
    Settling { before: Option<Before>, until: u64 },
    /// What this window brings is counted from here, up to this offset.
    Counting { before: Option<Before>, since: Instant, from: u64, until: u64 },
}

/// The window before the trial, and the bytes a second that it brought.
#[derive(Debug, Clone, Copy)]
struct Before {
    size: u64,
    rate: f64,
}

impl ReceiveWindow {
    /// A window that never exceeds `most` bytes (what the relay allows) for a line with this round-trip time.
    pub fn new(most: u64, rtt: Duration, now: Instant) -> Self {
        Self {
            size: INITIAL_CREDIT,
            most: most.clamp(INITIAL_CREDIT, MOST),
            granted: INITIAL_CREDIT,
            told: 0,
            round: rtt.clamp(SHORTEST_ROUND, LONGEST_ROUND),
            round_began: now,
            drained_then: 0,
            last_round: 0,
            before_last: 0,
            since_dip: HEAP_ROUNDS,
            was_late: false,
            trial: Trial::Rest(TRIAL_AFTER),
            has_failed: false,
        }
    }

    /// The largest it can become, in bytes.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Notes that everything up to the offset `drained` was received and used up; gives the credit to send, if it is
    /// time for some.
    pub fn drained(&mut self, drained: u64, now: Instant) -> Option<Credit> {
        let elapsed = now.duration_since(self.round_began);
        if elapsed >= self.round {
            self.end_round(drained - self.drained_then, elapsed);
            self.round_began = now;
            self.drained_then = drained;
        }
        self.try_more(drained, now);
        let limit = drained + self.size;
        if limit >= self.granted + self.size / 4 {
            self.granted = limit;
        } else if drained < self.told + UNTOLD {
            return None;
        }
        self.told = drained;
        Some(Credit { limit: self.granted, received: drained })
    }

    /// Learns from a round in which so much was drained.
    fn end_round(&mut self, in_round: u64, elapsed: Duration) {
        /// After a round as late as this, what comes had piled up somewhere, and says nothing about the line.
        const LATE: u32 = 4;
        let is_late = elapsed > self.round * LATE;
        if !is_late && !self.was_late {
            // What is granted now is drained a round trip later, when a rate that grows has grown once more. Without this
            // a line of 1 Gbit/s × 200 ms took 4.8 s to fill; with credit without end it takes 1.8 s.
            let growth = in_round.saturating_sub(self.last_round).min(self.last_round);
            let wanted = if self.since_dip < HEAP_ROUNDS {
                // What fills a hole comes in a heap after a gap.
                in_round.saturating_add(self.last_round).saturating_add(self.before_last).saturating_mul(2) / 3
            } else {
                in_round.saturating_mul(2).saturating_add(growth.saturating_mul(4))
            };
            self.size = self.size.max(wanted).min(self.most);
        }
        if let Trial::Rest(rounds) = &mut self.trial {
            // While the rate grows by itself, it says nothing of the window.
            let grows = in_round > self.last_round + self.last_round / 4;
            *rounds = if grows && !self.has_failed { TRIAL_AFTER } else { rounds.saturating_sub(1) };
        }
        self.was_late = is_late;
        self.since_dip = if in_round < self.last_round / 2 { 0 } else { self.since_dip.saturating_add(1) };
        self.before_last = self.last_round;
        self.last_round = in_round;
    }

    /// Begins a trial, or goes on with one, if it is time to.
    fn try_more(&mut self, drained: u64, now: Instant) {
        /// Content comes in records: fewer of them say little.
        const ENOUGH: u64 = 1024 * 1024;
        /// Round trips for which bytes wait, for a window that is not tried with more: where one packet in ten is lost
        /// it is four on each leg, which are half a round trip long. And for the rest of their record.
        const LONGEST_WAIT: f64 = 5.0;
        const RECORDS: f64 = INITIAL_CREDIT as f64;
        /// Of a window half as large again, so much more is enough to tell it from chance.
        const BETTER: f64 = 1.1;
        match self.trial {
            Trial::Rest(0) => self.trial = Trial::Settling { before: None, until: drained },
            Trial::Settling { before, until } if drained >= until => {
                let until = self.granted.max(drained + ENOUGH);
                self.trial = Trial::Counting { before, since: now, from: drained, until };
            }
            Trial::Counting { before, since, from, until } if drained >= until => {
                let rate = (drained - from) as f64 / now.duration_since(since).as_secs_f64().max(1e-3);
                let round = self.round.as_secs_f64();
                if let Some(Before { size, rate: before }) = before
                    && rate < BETTER * before
                {
                    self.has_failed = true;
                    self.size = size.max((2.0 * rate * round) as u64).min(self.most);
                    self.trial = Trial::Rest(TRIAL_PAUSE);
                } else if LONGEST_WAIT * rate * round + RECORDS < self.size as f64 {
                    self.trial = Trial::Rest(TRIAL_PAUSE);
                } else {
                    self.trial =
                        Trial::Settling { before: Some(Before { size: self.size, rate }), until: self.granted };
                    let more = if self.has_failed { self.size / 2 } else { self.size };
                    self.size = (self.size + more).min(self.most);
                }
            }
            _ => {}
        }
    }

    /// The highest offset granted so far: who sends beyond it breaks the protocol.
    pub fn granted(&self) -> u64 {
        self.granted
    }
}

/// The sender's side: waits for credit.
#[derive(Debug)]
pub struct SendCredit(watch::Sender<Credit>);

impl SendCredit {
    /// A gate with the first credit in it.
    pub fn new() -> Self {
        Self(watch::Sender::new(Credit { limit: INITIAL_CREDIT, received: 0 }))
    }

    /// Takes what the receiver granted.
    ///
    /// # Errors
    /// [`BadCredit`] where an offset falls or more is acknowledged than was sent.
    pub fn grant(&self, credit: Credit, sent: u64) -> Result<(), BadCredit> {
        let before = self.0.borrow().clone();
        if credit.limit < before.limit || credit.received < before.received || credit.received > sent {
            return Err(BadCredit);
        }
        self.0.send_replace(credit);
        Ok(())
    }

    /// Waits until `end` bytes of the sealed stream may be sent: what is not acknowledged is kept, and so that is bounded
    /// too, whatever was granted. `in_all` is what all downloads of the share keep.
    pub async fn open_to(&self, end: u64, in_all: impl Fn() -> u64) {
        let may = |credit: &Credit| credit.limit.min(credit.received.saturating_add(most_ahead(in_all()))) >= end;
        let _ = self.0.subscribe().wait_for(may).await; // the sender of the channel is here
    }
}

impl Default for SendCredit {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a download may go ahead of what is acknowledged, where all together keep so much: by what is left, so that there
/// is always something left, however many of them take all that they can (Choudhury and Hahne, dynamic queue length
/// thresholds, 1998). And by so much in any case that the receiver acknowledges some of it.
fn most_ahead(in_all: u64) -> u64 {
    /// What all downloads of a share may keep.
    const IN_ALL: u64 = 1024 * 1024 * 1024;
    IN_ALL.saturating_sub(in_all).clamp(LEAST_AHEAD, MOST_AHEAD)
}

/// Twice of what a receiver drains before it says so, and the records at both ends of that.
const LEAST_AHEAD: u64 = 2 * UNTOLD + INITIAL_CREDIT;

/// Credit that falls, or acknowledges what was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCredit;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Drains at `rate` bytes a second for a second, in steps of a millisecond, as credit allows.
    fn size_after(rate: u64, rtt_ms: u64, most: u64) -> u64 {
        let begin = Instant::now();
        let mut window = ReceiveWindow::new(most, Duration::from_millis(rtt_ms), begin);
        for ms in 1..=1_000 {
            window.drained(rate * ms / 1_000, begin + Duration::from_millis(ms));
        }
        window.size
    }

    #[test]
    fn a_rate_that_doubles_every_round_is_not_held_back() {
        let (begin, round) = (Instant::now(), Duration::from_millis(200));
        let mut window = ReceiveWindow::new(32 * MIB, round, begin);
        let (mut drained, mut rate) = (0, INITIAL_CREDIT / 2);
        for n in 1..8u32 {
            drained += rate;
            window.drained(drained, begin + round * n);
            rate *= 2;
            assert!(n == 1 || window.size >= (2 * rate).min(32 * MIB), "round {n}: {} for {rate}", window.size);
        }
    }

    #[test]
    fn what_had_piled_up_is_no_growth() {
        let (begin, round) = (Instant::now(), Duration::from_millis(40));
        let mut window = ReceiveWindow::new(32 * MIB, round, begin);
        window.drained(1_000, begin + round);
        window.drained(MIB, begin + round * 200);
        window.drained(5 * MIB, begin + round * 201);
        assert_eq!(window.size, INITIAL_CREDIT);
        window.drained(6 * MIB, begin + round * 202);
        assert_eq!(window.size, 2 * MIB);
    }

    #[test]
    fn a_fast_receiver_gets_what_its_line_holds() {
        let on_the_line = 125_000_000 / 5; // 1 Gbit/s, 200 ms
        assert!(size_after(125_000_000, 200, 64 * MIB) >= on_the_line);
        assert!(size_after(125_000_000, 200, 16 * MIB) == 16 * MIB, "never more than the relay allows");
    }

    #[test]
    fn a_receiver_that_barely_reads_keeps_the_first_window() {
        assert_eq!(size_after(1_000_000, 100, 64 * MIB), INITIAL_CREDIT);
        assert_eq!(size_after(0, 100, 64 * MIB), INITIAL_CREDIT);
    }

    #[test]
    fn a_relay_that_lies_does_not_fill_the_memory() {
        assert_eq!(size_after(10_000_000_000, 1, u64::MAX), MOST);
        assert_eq!(size_after(10_000_000_000, 1, 0), INITIAL_CREDIT);
        let begin = Instant::now();
        let mut window = ReceiveWindow::new(MOST, Duration::from_secs(40), begin);
        window.drained(MIB, begin + Duration::from_secs(2));
        assert_eq!(window.size, 2 * MIB, "an answer that was held back does not hold back the window");
    }

    #[test]
    fn credit_never_falls() {
        let begin = Instant::now();
        let mut window = ReceiveWindow::new(16 * MIB, Duration::from_millis(1), begin);
        let mut last = INITIAL_CREDIT;
        for step in 0..10_000u64 {
            if let Some(credit) = window.drained(step * 1_000, begin + Duration::from_micros(step * 37)) {
                assert!(credit.limit >= last && credit.limit == window.granted());
                last = credit.limit;
            }
        }
    }

    #[tokio::test]
    async fn the_gate_takes_only_honest_credit() {
        let gate = SendCredit::new();
        gate.open_to(INITIAL_CREDIT, || 0).await;
        let credit = |limit, received| Credit { limit, received };
        assert_eq!(gate.grant(credit(1, 0), 0), Err(BadCredit));
        assert_eq!(gate.grant(credit(MIB, 10), 9), Err(BadCredit));
        gate.grant(credit(MIB, 10), 10).unwrap();
        assert_eq!(gate.grant(credit(MIB, 9), 10), Err(BadCredit));
        gate.open_to(MIB, || 0).await;
        gate.grant(credit(1 << 40, 10), 10).unwrap();
        let is_open = async |end, in_all| {
            tokio::time::timeout(Duration::from_millis(1), gate.open_to(end, || in_all)).await.is_ok()
        };
        assert!(is_open(10 + MOST_AHEAD, 900 * MIB).await);
        assert!(!is_open(11 + MOST_AHEAD, 0).await, "what is not acknowledged must be kept");
        assert!(is_open(10 + 24 * MIB, 1_000 * MIB).await && !is_open(11 + 24 * MIB, 1_000 * MIB).await);
        assert!(is_open(10 + LEAST_AHEAD, u64::MAX).await, "whoever acknowledges gets on");
    }

    /// However little may be kept, and whatever window there was before.
    #[tokio::test]
    async fn a_sender_that_keeps_little_and_a_window_that_was_large_do_not_wait_for_each_other() {
        let gate = SendCredit::new();
        let begin = Instant::now();
        let mut window = ReceiveWindow::new(MOST, Duration::from_millis(10), begin);
        let (mut sent, mut ms) = (0, 0);
        while sent < 200 * MIB {
            ms += 1;
            let in_all = if sent < 100 * MIB { 0 } else { u64::MAX };
            let record = sent + 128 * 1024;
            let opened = tokio::time::timeout(Duration::from_millis(1), gate.open_to(record, || in_all)).await;
            assert!(opened.is_ok(), "stuck at {sent}");
            sent = record;
            if let Some(credit) = window.drained(sent, begin + Duration::from_millis(ms)) {
                gate.grant(credit, sent).unwrap();
            }
        }
    }
}
