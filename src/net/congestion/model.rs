//! The controller itself: a model of the line, and the window that follows from it. Nothing here reads a clock.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    cubic::Cubic,
    drain::Drain,
    floor::Base,
    loss::{Loss, When},
    rate::{Deliveries, Highest, Sample},
};

/// The rate of the line is the highest of so many rounds: from one probe to the next, at least.
const RATE_ROUNDS: u64 = 10;

/// The rate of these is recent: a drain must be below what the line gives now.
const RECENT_ROUNDS: u64 = 3;

/// A round trip in which this machine and the other are scheduled, and acknowledgements are put together. Shorter ones
/// are no measure of what a line holds: on loopback a product of rate and round trip is a few packets.
const SHORTEST_BASE: Duration = Duration::from_millis(3);

/// Rounds between two probes.
const CRUISE_ROUNDS: u32 = 8;

/// Rounds beside a competitor between two drains.
const COMPETE_ROUNDS: u32 = 24;

/// What is sent above the product of rate and base round trip. A short queue keeps the line busy.
const CRUISE_HEADROOM: f64 = 0.08;

/// A probe for a higher rate.
const PROBE_HEADROOM: f64 = 0.25;

/// One drain in so many goes deeper where packets are lost: it leaves no room for those that the line is thought to lose.
/// What a policer or a short queue drops is no loss of the line, and ends there.
const DEEP_DRAIN_EVERY: u32 = 4;

/// The least of both, once excess loss has shrunk it.
const LEAST_HEADROOM: f64 = 1.0 / 16.0;

/// Packets on top: quinn stops one short of the window, and one may wait at either end.
const FEW_PACKETS: f64 = 3.0;

/// A window of fewer packets could not tell a loss from an end.
const LEAST_PACKETS: f64 = 4.0;

/// What goes out with a probe when nothing is acknowledged any more. QUIC sends two packets then, each time after twice the
/// wait (RFC 9002 section 6.2), and a burst that swallows packets one by one would outlast them.
const PROBE_PACKETS: f64 = 8.0;

#[derive(Debug, Clone)]
enum Phase {
    Startup(Startup),
    Drain(Drain),
    Cruise { rounds_left: u32 },
    Probe { rate_before: f64 },
    Compete { rounds_left: u32 },
}

#[derive(Debug, Clone, Default)]
struct Startup {
    /// The rate when it last grew by a quarter, and how many rounds ago that is.
    reached: f64,
    slow_rounds: u32,
    /// Round trips in a row that were longer than the line.
    long: u32,
}

/// What is known of a round so far.
#[derive(Debug, Clone, Default)]
struct Round {
    /// It ends when a packet is acknowledged that was sent after so much was delivered.
    ends: u64,
    app_limited: bool,
    shortest: Option<Duration>,
    longest: Duration,
}

/// The model of a line.
#[derive(Debug, Clone)]
pub(super) struct Model {
    packet: f64,
    initial_window: f64,
    window: f64,
    deliveries: Deliveries,
    rates: Highest,
    /// Counts the rounds in which the application had enough to send.
    rate_round: u64,
    base: Base,
    loss: Loss,
    round: Round,
    phase: Phase,
    /// When what began, newest last.
    turns: VecDeque<(Instant, When)>,
    /// How much of the headroom is used: less where it costs packets.
    headroom: f64,
    excess_in_cycle: bool,
    /// Rounds in a row that lost much more than the line does.
    flooded: u32,
    acked: f64,
    last: Option<Sample>,
    /// Floors in a row that somebody else's queue explains, or that nobody's does.
    high_floors: u32,
    low_floors: u32,
    competing: Option<Cubic>,
    drains: u32,
    /// While it is open who queues: what the line is taken to hold.
    held: Option<f64>,
    /// The longest round trip of late.
    crest: Duration,
    /// When something was acknowledged last, and sent last.
    heard: Instant,
    spoke: Instant,
    /// What may be on its way beyond the window while nothing is acknowledged.
    beyond: f64,
}

impl Model {
    /// Of a line that nothing is known of. Sizes are in bytes.
    pub(super) fn new(now: Instant, packet: u16, initial_window: u64) -> Self {
        Self {
            packet: packet.into(),
            initial_window: initial_window as f64,
            window: initial_window as f64,
            deliveries: Deliveries::new(now),
            rates: Highest::default(),
            rate_round: 0,
            base: Base::new(),
            loss: Loss::default(),
            round: Round::default(),
            phase: Phase::Startup(Startup::default()),
            turns: VecDeque::from([(now, When::Full)]),
            headroom: 1.0,
            excess_in_cycle: false,
            flooded: 0,
            acked: 0.0,
            last: None,
            high_floors: 0,
            low_floors: 0,
            competing: None,
            drains: 0,
            held: None,
            crest: Duration::ZERO,
            heard: now,
            spoke: now,
            beyond: 0.0,
        }
    }

    /// The first window, in bytes.
    pub(super) fn initial_window(&self) -> u64 {
        self.initial_window as u64
    }

    /// Bytes that may be on their way.
    pub(super) fn window(&self) -> u64 {
        (self.window + self.beyond) as u64
    }

    /// Packets have this length from now on.
    pub(super) fn set_packet(&mut self, packet: u16) {
        self.packet = packet.into();
    }

    /// So many bytes were sent.
    pub(super) fn sent(&mut self, now: Instant, bytes: u64) {
        self.deliveries.sent(now, bytes);
        let round_trip = self.last.map_or(Duration::MAX, |last| last.rtt);
        let is_probe = now.saturating_duration_since(self.heard.max(self.spoke)) > round_trip;
        if is_probe {
            self.beyond = (self.deliveries.in_flight() as f64 - self.window).max(0.0) + PROBE_PACKETS * self.packet;
        }
        self.spoke = now;
    }

    /// A packet of so many bytes, sent at this time, was acknowledged.
    pub(super) fn acked(&mut self, sent: Instant, bytes: u64) {
        self.deliveries.acked(sent, bytes);
        self.acked += bytes as f64;
    }

    /// All acknowledgements that came at once were told.
    pub(super) fn acked_all(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        (self.heard, self.beyond) = (now, 0.0);
        let acked = std::mem::take(&mut self.acked);
        let sample = self.deliveries.sample(now, in_flight, app_limited);
        let sent = sample.or(self.last).map_or(now, |sample| sample.sent);
        self.loss.note(acked / self.packet, 0.0, self.when(sent), self.is_quiet());
        let Some(sample) = sample else { return };
        self.take(sample);
        if sample.delivered_before >= self.round.ends {
            self.end_round(now);
        }
        self.step(now, &sample, acked, in_flight as f64);
        self.follow();
    }

    /// So many bytes were lost, the last of them sent at this time; none where the line marked packets instead.
    pub(super) fn lost(&mut self, now: Instant, sent: Instant, bytes: u64, persistent: bool) {
        self.deliveries.lost(bytes);
        self.loss.note(0.0, bytes as f64 / self.packet, self.when(sent), self.is_quiet());
        if persistent {
            *self = Self::new(now, self.packet as u16, self.initial_window());
            return;
        }
        let marked = bytes == 0;
        let excess = marked || self.loss.excess().is_some();
        match &self.phase {
            Phase::Startup(_) if excess && (marked || self.is_saturated()) => self.leave_startup(now, None, true),
            Phase::Compete { .. } if excess && (marked || self.is_on_the_crest()) => {
                if let Some(cubic) = &mut self.competing {
                    cubic.cut(now, sent, LEAST_PACKETS);
                }
            }
            _ => {}
        }
        if marked && self.competing.is_none() {
            self.shrink_headroom();
        }
        self.follow();
    }

    /// What a sample tells, whatever the phase.
    fn take(&mut self, sample: Sample) {
        self.last = Some(sample);
        self.base.saw(sample.rtt);
        let round = &mut self.round;
        round.shortest = Some(round.shortest.map_or(sample.rtt, |least| least.min(sample.rtt)));
        round.longest = round.longest.max(sample.rtt);
        round.app_limited |= sample.app_limited;
        if !sample.app_limited || self.rates.all().is_none_or(|rate| sample.rate > rate) {
            self.rates.note(self.rate_round, sample.rate, RATE_ROUNDS);
        }
    }

    /// What happens once a round.
    fn end_round(&mut self, now: Instant) {
        let saturated = self.is_saturated();
        let startup = matches!(self.phase, Phase::Startup(_));
        let excess = self.loss.excess();
        self.loss.end_round(excess.is_none() || (startup && !saturated));
        let round = std::mem::take(&mut self.round);
        self.round.ends = self.deliveries.delivered();
        if !round.app_limited {
            self.rate_round += 1;
        }
        self.crest = self.crest.mul_f64(0.9).max(round.longest);
        if excess.is_some() && !startup && self.competing.is_none() {
            self.shrink_headroom();
        }
        self.flooded = if excess.is_some_and(|excess| excess > 0.1) { self.flooded + 1 } else { 0 };
        let rate = self.rate();
        match &mut self.phase {
            Phase::Startup(startup) => {
                if rate >= 1.25 * startup.reached {
                    (startup.reached, startup.slow_rounds) = (rate, 0);
                } else if !round.app_limited {
                    startup.slow_rounds += 1;
                }
                if startup.slow_rounds >= 3 {
                    self.leave_startup(now, None, false);
                }
            }
            Phase::Cruise { rounds_left } => {
                *rounds_left = rounds_left.saturating_sub(1);
                let left = *rounds_left;
                let queue = round.shortest.is_some_and(|rtt| rtt > self.longer(1.25));
                let overrated = self.flooded >= 2;
                if overrated {
                    self.rates.forget_before(self.rate_round.saturating_sub(1));
                }
                if overrated || (queue && self.high_floors == 0 && left + 2 <= CRUISE_ROUNDS) {
                    self.drain(now, self.rate());
                } else if left == 0 {
                    let rate_before = self.recent_rate();
                    self.turn(now, Phase::Probe { rate_before }, When::Probing);
                }
            }
            Phase::Probe { rate_before } => {
                let before = *rate_before;
                self.drain(now, before);
            }
            Phase::Compete { rounds_left } => {
                *rounds_left = rounds_left.saturating_sub(1);
                if *rounds_left == 0 {
                    self.drain(now, rate);
                }
            }
            Phase::Drain(_) => {}
        }
    }

    /// What happens with every sample.
    fn step(&mut self, now: Instant, sample: &Sample, acked: f64, in_flight: f64) {
        let (base, long) = (self.base(), self.longer(1.06) + self.base.spread());
        let in_use = (in_flight + acked) * 2.0 >= self.window;
        match &mut self.phase {
            Phase::Startup(startup) => {
                startup.long = if sample.rtt > long { startup.long + 1 } else { 0 };
                if startup.long >= 4 {
                    // What was on its way, at once, and took this long (Little's law): the rate of the coming round.
                    let rate = sample.in_flight as f64 / sample.rtt.as_secs_f64() * (1.0 - self.loss.own());
                    self.leave_startup(now, Some(rate), false);
                } else if in_use {
                    let most = 3.0 * self.product() + self.initial_window;
                    self.window = (self.window + acked).min(most.max(self.window));
                }
            }
            Phase::Drain(drain) => {
                if drain.takes_effect(now, in_flight, self.window + self.packet) {
                    self.turns.push_back((now, When::Drained));
                }
                if drain.saw(sample, base) {
                    self.end_drain(now);
                }
            }
            Phase::Compete { .. } => {
                if let Some(cubic) = self.competing.as_mut().filter(|_| in_use) {
                    cubic.acked(now, acked / self.packet, sample.rtt);
                }
            }
            Phase::Cruise { .. } | Phase::Probe { .. } => {}
        }
    }

    /// The line is full, as its queue (with an estimate of its rate) or its losses say.
    fn leave_startup(&mut self, now: Instant, rate: Option<f64>, lossy: bool) {
        if let Some(rate) = rate.filter(|rate| *rate > self.rate()) {
            self.rates.note(self.rate_round, rate, RATE_ROUNDS);
        }
        if lossy {
            self.shrink_headroom();
        }
        self.drain(now, self.rate());
    }

    fn drain(&mut self, now: Instant, rate_before: f64) {
        let deep = self.loss.own() > 0.01 && self.drains.is_multiple_of(DEEP_DRAIN_EVERY);
        self.drains += 1;
        let drain = Drain::new(now, rate_before, self.recent_rate(), deep.then(|| self.loss.own()));
        self.turn(now, Phase::Drain(drain), When::Probing);
    }

    fn end_drain(&mut self, now: Instant) {
        let (base, near, far) = (self.base(), self.longer(1.06), self.longer(1.12) + self.base.spread());
        let Phase::Drain(drain) = &mut self.phase else { return };
        let (took, rate_before) = (drain.duration(now), drain.rate_before());
        self.loss.end_drain(self.last.is_some_and(|last| drain.is_plausible(last.rate)), drain.is_deep());
        let floor = drain.tell(now, &mut self.base).unwrap_or(base);
        let (high, low) = (floor > far, floor <= near);
        self.high_floors = if high { self.high_floors + 1 } else { 0 };
        self.low_floors = if low { self.low_floors + 1 } else { 0 };
        // The probe brought more.
        let more = !self.excess_in_cycle && self.recent_rate() >= 1.15 * rate_before;
        if !self.excess_in_cycle {
            self.headroom = (self.headroom * 1.25).min(1.0);
        }
        self.excess_in_cycle = false;
        if self.competing.is_some() && self.low_floors >= 2 {
            self.competing = None;
        }
        if self.competing.is_none() && high && more {
            // More was on its way, and as much more came through: nobody queues, the line has become longer.
            self.base.restart();
            self.high_floors = 0;
        }
        self.held = (self.high_floors > 0).then(|| self.held.unwrap_or_else(|| 0.9 * self.product()));
        if self.competing.is_none() && self.high_floors >= 3 {
            self.held = None;
            let window = self.recent_rate() * floor.as_secs_f64() / (1.0 - self.loss.own());
            self.competing = Some(Cubic::new(now, (window / self.packet).max(LEAST_PACKETS)));
        }
        if let Some(cubic) = &mut self.competing {
            cubic.paused(took);
            return self.turn(now, Phase::Compete { rounds_left: COMPETE_ROUNDS }, When::Full);
        }
        let (rate, recent) = (self.rate(), self.recent_rate());
        if more {
            let startup = Startup { reached: rate, ..Startup::default() };
            return self.turn(now, Phase::Startup(startup), When::Full);
        }
        if low && recent < 0.8 * rate {
            self.rates.forget_before(self.rate_round.saturating_sub(RECENT_ROUNDS - 1));
        }
        let chance = (self.deliveries.delivered() as u32 ^ floor.subsec_nanos()) / 8 % 5;
        let rounds_left = if high { 4 } else { CRUISE_ROUNDS - 2 + chance };
        self.turn(now, Phase::Cruise { rounds_left }, When::Full);
    }

    fn turn(&mut self, now: Instant, phase: Phase, when: When) {
        tracing::trace!(
            "{phase:?}: {:.2} Mbit/s, base {:?}, own loss {:.4}, headroom {:.3}, window {:.0}",
            self.rate() * 8e-6,
            self.base(),
            self.loss.own(),
            self.headroom,
            self.window
        );
        self.phase = phase;
        self.turns.push_back((now, when));
        while self.turns.len() > 16 {
            self.turns.pop_front();
        }
    }

    /// Makes the window what the phase asks for.
    fn follow(&mut self) {
        let product = self.product();
        let few = FEW_PACKETS * self.packet;
        let window = match &self.phase {
            Phase::Startup(_) => self.window,
            Phase::Drain(drain) => self.product_of(drain.rate()) + few - self.packet,
            // Without headroom, a probe is a quarter more than before.
            Phase::Cruise { .. } if self.held.is_some() => product + few,
            Phase::Cruise { .. } => (1.0 + CRUISE_HEADROOM * self.headroom) * product + few,
            Phase::Probe { .. } => (1.0 + PROBE_HEADROOM * self.headroom) * product + few,
            Phase::Compete { .. } => self.competing.as_ref().map_or(self.window, |cubic| cubic.window() * self.packet),
        };
        self.window = window.max(LEAST_PACKETS * self.packet);
    }

    fn shrink_headroom(&mut self) {
        self.excess_in_cycle = true;
        self.headroom = (self.headroom / 2.0).max(LEAST_HEADROOM);
    }

    /// Bytes a second; 0 before the first sample.
    fn rate(&self) -> f64 {
        self.rates.all().unwrap_or(0.0)
    }

    fn recent_rate(&self) -> f64 {
        self.rates.since(self.rate_round.saturating_sub(RECENT_ROUNDS - 1)).unwrap_or_else(|| self.rate())
    }

    /// The base round trip, as far as it counts.
    fn base(&self) -> Duration {
        self.base.get().unwrap_or_default().max(SHORTEST_BASE)
    }

    /// So many times the base, and a moment: clocks and schedulers are not exact.
    fn longer(&self, times: f64) -> Duration {
        self.base().mul_f64(times) + Duration::from_millis(1)
    }

    /// Bytes that the line holds, those among them that it will lose.
    fn product(&self) -> f64 {
        self.held.unwrap_or_else(|| self.product_of(self.rate()))
    }

    fn product_of(&self, rate: f64) -> f64 {
        let typical = self.base.typical().unwrap_or_default();
        let allowance = SHORTEST_BASE.saturating_sub(typical).mul_f64(self.headroom);
        rate * (typical + allowance).as_secs_f64() / (1.0 - self.loss.own())
    }

    /// When a packet was sent that was sent at this time.
    fn when(&self, sent: Instant) -> When {
        self.turns.iter().rev().find(|(began, _)| *began <= sent).map_or(When::Probing, |(_, when)| *when)
    }

    /// Whether no queue stands.
    fn is_quiet(&self) -> bool {
        self.last.is_none_or(|last| last.rtt <= self.longer(1.25))
    }

    /// Whether clearly less is delivered than is sent, beyond what the line loses by itself.
    fn is_saturated(&self) -> bool {
        self.last.is_some_and(|last| {
            let sent = last.in_flight as f64 / self.packet * (1.0 - self.loss.own());
            let delivered = last.delivered as f64 / self.packet;
            delivered + 2.0 * sent.sqrt() < 0.8 * sent
        })
    }

    /// Whether the queue is about as long as it gets.
    fn is_on_the_crest(&self) -> bool {
        self.last.is_some_and(|last| last.rtt > (self.base() + self.crest) / 2)
    }
}

#[cfg(test)]
mod tests;
