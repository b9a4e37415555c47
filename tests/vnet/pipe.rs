//! One direction of a line: a queue, a rate, a delay, and what goes wrong.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    fate::{Chance, ConflictOutcome},
    line::Line,
    network::{Inner, What},
    socket::Packet,
};

/// Packets and their bytes, headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Packets.
    pub(crate) packets: u64,
    /// Bytes, headers included.
    pub(crate) bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, size: u64) {
        self.packets += 1;
        self.bytes += size;
    }
}

/// What a pipe has done so far. Every packet offered is delivered, dropped for one reason, or still in the pipe; what
/// was duplicated is delivered twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// What was to go through.
    pub(crate) offered: Tally,
    /// What came out at the other end.
    pub(crate) delivered: Tally,
    /// Dropped by chance.
    pub(crate) lost: Tally,
    /// Dropped because the queue was full.
    pub(crate) overflowed: Tally,
    /// Dropped by the policer.
    pub(crate) policed: Tally,
    /// Dropped because it was longer than the line carries.
    pub(crate) too_long: Tally,
    /// Dropped because the line was cut.
    pub(crate) cut: Tally,
    /// Delivered once more than offered.
    pub(crate) duplicated: Tally,
    /// The most bytes that ever waited or were being sent.
    pub(crate) highest_queue: u64,
}

impl Counters {
    /// Everything that was dropped, for whatever reason.
    pub(crate) fn dropped(&self) -> Tally {
        let all = [self.lost, self.overflowed, self.policed, self.too_long, self.cut];
        Tally { packets: all.iter().map(|t| t.packets).sum(), bytes: all.iter().map(|t| t.bytes).sum() }
    }
}

/// A handle to one direction of a line.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(super) network: Arc<Inner>,
    pub(super) number: usize,
}

impl Pipe {
    /// What it has done so far.
    pub(crate) fn counters(&self) -> Counters {
        self.network.now(|state, _| state.pipes[self.number].counters)
    }

    /// Bytes that wait or are being sent.
    pub(crate) fn queued(&self) -> u64 {
        self.network.now(|state, _| state.pipes[self.number].queued)
    }

    /// What it does now.
    pub(crate) fn line(&self) -> Line {
        self.network.now(|state, _| state.pipes[self.number].line.clone())
    }

    /// Changes it now. What is on its way keeps the delay it has; what waits gets the new rate.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Line)) {
        self.network.now(|state, now| state.change(self.number, now, change));
    }

    /// Changes it after this time, exactly then.
    pub(crate) fn change_after(&self, time: Duration, change: impl FnOnce(&mut Line) + Send + 'static) {
        self.network.now(|state, now| state.plan(now + time, What::Change(self.number, Box::new(change))));
    }

    /// Cuts it after a time, for a time.
    pub(crate) fn cut_after(&self, time: Duration, length: Duration) {
        self.change_after(time, |line| line.cut = true);
        self.change_after(time + length, |line| line.cut = false);
    }
}

/// A pipe itself. It has no clock: it is told the time, and says what is to happen when.
#[derive(Debug)]
pub(super) struct Works {
    pub(super) line: Line,
    pub(super) counters: Counters,
    chance: Chance,
    /// The first is being sent.
    queue: VecDeque<Packet>,
    queued: u64,
    /// When the first will have been sent.
    sent_at: Duration,
    /// Counts the plans for that; all but the last are void.
    plans: u64,
    /// Nothing that keeps its order arrives before this.
    latest: Duration,
    /// What is in the policer's bucket, and since when.
    tokens: Option<(f64, Duration)>,
}

/// The first packet of the queue will have been sent: when, and by which plan.
pub(super) type Leaving = Option<(Duration, u64)>;

impl Works {
    pub(super) fn new(line: Line, chance: Chance) -> Self {
        Self {
            line,
            counters: Counters::default(),
            chance,
            queue: VecDeque::new(),
            queued: 0,
            sent_at: Duration::ZERO,
            plans: 0,
            latest: Duration::ZERO,
            tokens: None,
        }
    }

    /// A packet is to go through.
    pub(super) fn offer(&mut self, packet: Packet, now: Duration) -> Leaving {
        let size = packet.size();
        let counters = &mut self.counters;
        counters.offered.add(size);
        if self.line.cut {
            counters.cut.add(size);
        } else if size > self.line.mtu {
            counters.too_long.add(size);
        } else if !self.admits(size, now) {
            self.counters.policed.add(size);
        } else if self.queued > 0 && self.queued + size > self.line.queue {
            self.counters.overflowed.add(size);
        } else {
            self.queued += size;
            self.counters.highest_queue = self.counters.highest_queue.max(self.queued);
            self.queue.push_back(packet);
            if self.queue.len() == 1 {
                return self.begin(now);
            }
        }
        None
    }

    /// The first packet of the queue has been sent by `plan`: what becomes of it, and when the next one follows. The
    /// packet is given with the times at which it arrives.
    pub(super) fn leave(&mut self, plan: u64, now: Duration) -> (Option<(Packet, Vec<Duration>)>, Leaving) {
        if plan != self.plans {
            return (None, None);
        }
        let Some(packet) = self.queue.pop_front() else { return (None, None) };
        let size = packet.size();
        self.queued -= size;
        let fate = self.chance.draw(&self.line);
        let arrivals = match fate {
            _ if self.line.cut => {
                self.counters.cut.add(size);
                Vec::new()
            }
            ConflictOutcome::ConnectionLost => {
                self.counters.lost.add(size);
                Vec::new()
            }
            ConflictOutcome::Arrives { late, overtaken, twice } => {
                let mut at = now + self.line.delay + late;
                if !overtaken {
                    at = at.max(self.latest);
                    self.latest = at;
                }
                if twice {
                    self.counters.duplicated.add(size);
                }
                vec![at; 1 + usize::from(twice)]
            }
        };
        (Some((packet, arrivals)), self.begin(now))
    }

    /// Changes the line. The packet that is being sent goes on at the new rate.
    pub(super) fn change(&mut self, now: Duration, change: impl FnOnce(&mut Line)) -> Leaving {
        let before = self.line.clone();
        change(&mut self.line);
        assert!(self.line.rate != Some(0), "a line without a rate is a cut");
        if self.line.policer != before.policer {
            self.tokens = None;
        }
        if self.line.delay < before.delay {
            self.latest = Duration::ZERO; // a shorter way: what takes it overtakes
        }
        if self.line.rate == before.rate || self.queue.is_empty() {
            return None;
        }
        let left = self.sent_at.saturating_sub(now).as_secs_f64();
        let factor = match (before.rate, self.line.rate) {
            (Some(before), Some(after)) => before as f64 / after as f64,
            _ => 0.0,
        };
        self.plan(now + Duration::from_secs_f64(left * factor))
    }

    fn begin(&mut self, now: Duration) -> Leaving {
        let first = self.queue.front()?;
        let at = now + self.line.time_for(first.size());
        self.plan(at)
    }

    fn plan(&mut self, at: Duration) -> Leaving {
        self.sent_at = at;
        self.plans += 1;
        Some((at, self.plans))
    }

    fn admits(&mut self, size: u64, now: Duration) -> bool {
        let Some(policer) = self.line.policer else { return true };
        let (held, since) = self.tokens.unwrap_or((policer.burst as f64, now));
        let earned = (now.saturating_sub(since)).as_secs_f64() * policer.rate as f64;
        let tokens = (held + earned).min(policer.burst as f64);
        let admits = tokens >= size as f64;
        self.tokens = Some((if admits { tokens - size as f64 } else { tokens }, now));
        admits
    }
}
