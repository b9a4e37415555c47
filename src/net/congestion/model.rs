//! The controller: a model of the path, and the window that follows from it. Callers pass the time, so tests can
//! simulate it.

use std::{
    mem,
    time::{Duration, Instant},
};

use super::{
    competition::{Competition, StandingQueue},
    delivery_rate::RateSample,
    drain::Drain,
    flight_level::{FlightHistory, FlightLevel},
    headroom::Headroom,
    loss::{DrainDepth, LossCause},
    path::PathModel,
    pto_allowance::PtoAllowance,
    round::Round,
    state::{Startup, State, startup_growth},
};
use crate::net::ack_frequency::unacknowledged;

/// Rounds between two probes.
const CRUISE_ROUNDS: u32 = 8;

/// Rounds between two drains while another flow competes.
const COMPETE_ROUNDS: u32 = 24;

/// While cruising, the bytes in flight exceed the bandwidth-delay product by this fraction: a short queue keeps the
/// path busy.
const CRUISE_HEADROOM: f64 = 0.08;

/// In a probe, the bytes in flight exceed the bandwidth-delay product by this fraction.
const PROBE_HEADROOM: f64 = 0.25;

/// If packets are lost, one in this many drains is deep: its window leaves no room for random loss. The drops of a
/// policer or a short queue stop in a deep drain, so they are recognized as not random.
const DEEP_DRAIN_INTERVAL: u32 = 4;

/// Packets added to every window: quinn stops one packet short of it, and one packet may wait at either end.
const EXTRA_PACKETS: f64 = 3.0;

/// The smallest window. With fewer packets in flight, a loss could not be distinguished from the end of the data.
const MIN_PACKETS: f64 = 4.0;

/// Why start-up ends.
#[derive(Debug, Clone, Copy)]
enum StartupExit {
    /// A queue has built up, which allows an estimate of the bandwidth in bytes per second.
    Queue { bandwidth: f64 },
    /// The bandwidth has stopped growing.
    NoGrowth,
    /// Packets were lost or marked.
    Loss,
}

/// The controller of one path. All sizes are in bytes.
#[derive(Debug, Clone)]
pub(super) struct Model {
    initial_window: f64,
    window: f64,
    pto_allowance: PtoAllowance,
    path: PathModel,
    state: State,
    history: FlightHistory,
    round: Round,
    /// Bytes acknowledged in the current batch of acknowledgements.
    acked: f64,
    headroom: Headroom,
    /// Consecutive rounds with an excess loss of more than a tenth.
    heavy_loss_rounds: u32,
    competition: Competition,
    /// The number of drains so far.
    drains: u32,
}

impl Model {
    /// Creates the controller of an unknown path.
    pub(super) fn new(now: Instant, packet_size: u16, initial_window: u64) -> Self {
        Self {
            initial_window: initial_window as f64,
            window: initial_window as f64,
            pto_allowance: PtoAllowance::new(now),
            path: PathModel::new(now, packet_size.into()),
            state: State::Startup(Startup::default()),
            history: FlightHistory::new(now),
            round: Round::default(),
            acked: 0.0,
            headroom: Headroom::new(),
            heavy_loss_rounds: 0,
            competition: Competition::default(),
            drains: 0,
        }
    }

    /// The first window.
    pub(super) fn initial_window(&self) -> u64 {
        self.initial_window as u64
    }

    /// The bytes that may be in flight.
    pub(super) fn window(&self) -> u64 {
        (self.window + self.pto_allowance.bytes()) as u64
    }

    /// Records a change of the packet size.
    pub(super) fn set_packet_size(&mut self, packet_size: u16) {
        self.path.packet_size = packet_size.into();
    }

    /// Records that a packet was sent.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64) {
        self.path.delivery.on_sent(now, bytes);
        let rtt = self.path.last_sample.map_or(Duration::MAX, |last| last.rtt);
        let above_window = self.path.delivery.in_flight() as f64 - self.window;
        self.pto_allowance.on_sent(now, rtt, self.window, above_window, self.path.packet_size);
    }

    /// Records that a packet, sent at `sent`, was acknowledged.
    pub(super) fn on_acked(&mut self, sent: Instant, bytes: u64) {
        self.path.delivery.on_acked(sent, bytes);
        self.acked += bytes as f64;
    }

    /// Ends a batch of acknowledgements.
    pub(super) fn end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool) {
        self.pto_allowance.on_acked(now);
        let acked = mem::take(&mut self.acked);
        let sample = self.path.delivery.sample(now, in_flight, app_limited);
        let sent = sample.or(self.path.last_sample).map_or(now, |sample| sample.sent);
        self.record_loss(sent, acked, 0.0);
        let Some(sample) = sample else { return };
        self.path.add(sample);
        self.round.add(&sample);
        if self.round.is_ended_by(&sample) {
            self.end_round(now);
        }
        self.on_sample(now, &sample, acked, in_flight as f64);
        self.update_window();
    }

    /// Records that packets were lost, the last of them sent at `sent`. `bytes` is 0 if the path marked packets
    /// instead.
    pub(super) fn on_lost(&mut self, now: Instant, sent: Instant, bytes: u64, persistent_congestion: bool) {
        self.path.delivery.on_lost(bytes);
        self.record_loss(sent, 0.0, bytes as f64);
        if persistent_congestion {
            *self = Self::new(now, self.path.packet_size as u16, self.initial_window());
            return;
        }
        let marked = bytes == 0;
        let excess = marked || self.path.loss.excess().is_some();
        match &self.state {
            State::Startup(_) if excess && (marked || self.path.is_saturated()) => {
                self.leave_startup(now, StartupExit::Loss);
            }
            State::Compete { .. } if excess && (marked || self.path.is_queue_near_max()) => {
                if let Some(cubic) = self.competition.window_mut() {
                    cubic.reduce(now, sent, MIN_PACKETS);
                }
            }
            _ => {}
        }
        if marked && !self.competition.is_active() {
            self.headroom.reduce();
        }
        self.update_window();
    }

    fn record_loss(&mut self, sent: Instant, acked: f64, lost: f64) {
        let packet_size = self.path.packet_size;
        let (level, queue_empty) = (self.history.level_at(sent), self.path.is_queue_empty());
        self.path.loss.record(acked / packet_size, lost / packet_size, level, queue_empty);
    }

    fn end_round(&mut self, now: Instant) {
        let in_startup = matches!(self.state, State::Startup(_));
        let excess = self.path.loss.excess();
        let is_random = excess.is_none() || (in_startup && !self.path.is_saturated());
        self.path.loss.end_round(if is_random { LossCause::Random } else { LossCause::Congestion });
        let round = mem::replace(&mut self.round, Round::starting_at(self.path.delivery.delivered()));
        self.path.end_round(&round);
        // While another flow is suspected, the route may have become longer instead. The loss then says little about
        // the queue, and a probe with less headroom could not tell the two apart.
        let is_queue_known = !self.competition.is_active() && !self.competition.is_suspected();
        if excess.is_some() && !in_startup && is_queue_known {
            self.headroom.reduce();
        }
        self.heavy_loss_rounds = if excess.is_some_and(|excess| excess > 0.1) { self.heavy_loss_rounds + 1 } else { 0 };
        match &mut self.state {
            State::Startup(startup) => {
                if startup.has_stopped_growing(self.path.bandwidth(), round.app_limited) {
                    self.leave_startup(now, StartupExit::NoGrowth);
                }
            }
            State::Cruise { rounds_left } => {
                *rounds_left = rounds_left.saturating_sub(1);
                let rounds_left = *rounds_left;
                self.end_cruise_round(now, &round, rounds_left);
            }
            State::Probe { bandwidth_before } => {
                let bandwidth_before = *bandwidth_before;
                self.start_drain(now, bandwidth_before);
            }
            State::Compete { rounds_left } => {
                *rounds_left = rounds_left.saturating_sub(1);
                if *rounds_left == 0 {
                    self.start_drain(now, self.path.bandwidth());
                }
            }
            State::Drain(_) => {}
        }
    }

    fn end_cruise_round(&mut self, now: Instant, round: &Round, rounds_left: u32) {
        let has_queue = round.min_rtt.is_some_and(|rtt| rtt > self.path.rtt_limit(1.25));
        let is_overestimated = self.heavy_loss_rounds >= 2;
        if is_overestimated {
            self.path.retain_latest_bandwidth();
        }
        if is_overestimated || (has_queue && !self.competition.is_suspected() && rounds_left + 2 <= CRUISE_ROUNDS) {
            self.start_drain(now, self.path.bandwidth());
        } else if rounds_left == 0 {
            let bandwidth_before = self.path.recent_bandwidth();
            self.enter(now, State::Probe { bandwidth_before }, FlightLevel::Above);
        }
    }

    /// Handles a sample in the current state.
    fn on_sample(&mut self, now: Instant, sample: &RateSample, acked: f64, in_flight: f64) {
        let min_rtt = self.path.min_rtt();
        let window_in_use = (in_flight + acked) * 2.0 >= self.window;
        match &mut self.state {
            State::Startup(startup) => {
                let is_long = sample.rtt > self.path.rtt_limit(1.06) + self.path.jitter();
                if startup.has_queue(is_long) {
                    // Little's law: the bytes in flight, divided by the time that each of them was in flight.
                    let rate = sample.in_flight as f64 / sample.rtt.as_secs_f64() * (1.0 - self.path.random_loss());
                    self.leave_startup(now, StartupExit::Queue { bandwidth: rate });
                } else if window_in_use {
                    let growth = if is_long { 2.0 } else { startup_growth(self.window, min_rtt) };
                    let max = (growth + 1.0) * self.bdp() + self.initial_window;
                    self.window = (self.window + (growth - 1.0) * acked).min(max.max(self.window));
                }
            }
            State::Drain(drain) => {
                if drain.takes_effect(now, in_flight, self.window + self.path.packet_size) {
                    self.history.change(now, FlightLevel::Below);
                }
                if drain.add(sample, min_rtt) {
                    self.end_drain(now);
                }
            }
            State::Compete { .. } => {
                if let Some(cubic) = self.competition.window_mut().filter(|_| window_in_use) {
                    cubic.on_acked(now, acked / self.path.packet_size, sample.rtt);
                }
            }
            State::Cruise { .. } | State::Probe { .. } => {}
        }
    }

    fn leave_startup(&mut self, now: Instant, exit: StartupExit) {
        match exit {
            StartupExit::Queue { bandwidth } if bandwidth > self.path.bandwidth() => self.path.add_bandwidth(bandwidth),
            StartupExit::Queue { .. } | StartupExit::NoGrowth => {}
            StartupExit::Loss => self.headroom.reduce(),
        }
        self.start_drain(now, self.path.bandwidth());
    }

    /// Starts a drain. Its end evaluates the preceding probe, before which the bandwidth was `bandwidth_before`.
    fn start_drain(&mut self, now: Instant, bandwidth_before: f64) {
        let random_loss = self.path.random_loss();
        let is_deep = random_loss > 0.01 && self.drains.is_multiple_of(DEEP_DRAIN_INTERVAL);
        self.drains += 1;
        let depth = if is_deep { DrainDepth::Deep { random_loss } } else { DrainDepth::Normal };
        let drain = Drain::new(now, bandwidth_before, self.path.recent_bandwidth(), depth);
        self.enter(now, State::Drain(drain), FlightLevel::Above);
    }

    fn end_drain(&mut self, now: Instant) {
        let min_rtt = self.path.min_rtt();
        let (low, high) = (self.path.rtt_limit(1.06), self.path.rtt_limit(1.12) + self.path.jitter());
        let State::Drain(drain) = &mut self.state else { return };
        let (duration, bandwidth_before) = (drain.duration(now), drain.bandwidth_before());
        let longest_rtt = drain.longest_rtt();
        let depth = self.path.last_sample.and_then(|last| drain.effective_depth(last.rate));
        self.path.loss.end_drain(depth);
        let rtt = drain.report_rtts(now, &mut self.path.min_rtt_estimator).unwrap_or(min_rtt);
        let queue = match rtt {
            rtt if rtt > high => StandingQueue::Present,
            rtt if rtt <= low => StandingQueue::Absent,
            _ => StandingQueue::Unclear,
        };
        let probe_succeeded = !self.headroom.was_reduced() && self.path.recent_bandwidth() >= 1.15 * bandwidth_before;
        self.headroom.end_drain();
        self.update_competition(now, queue, probe_succeeded, rtt);
        // A long queue shows that the path is full. Start-up would overflow it.
        let path_was_full = longest_rtt > self.path.rtt_limit(1.25) + self.path.jitter();
        if self.competition.is_active() {
            self.competition.exclude_drain(duration);
            self.enter(now, State::Compete { rounds_left: COMPETE_ROUNDS }, FlightLevel::At);
        } else if probe_succeeded && !path_was_full {
            let startup = Startup::from_bandwidth(self.path.bandwidth());
            self.enter(now, State::Startup(startup), FlightLevel::At);
        } else {
            self.start_cruise(now, queue, rtt);
        }
    }

    fn update_competition(&mut self, now: Instant, queue: StandingQueue, probe_succeeded: bool, rtt: Duration) {
        self.competition.on_drain(queue);
        if !self.competition.is_active() && queue == StandingQueue::Present && probe_succeeded {
            // More bytes in flight have raised the delivery rate: the route has become longer.
            self.path.min_rtt_estimator.retain_latest();
            self.competition.dismiss();
        }
        self.competition.update_frozen_bdp(0.9 * self.path.bdp_at(self.path.bandwidth(), self.headroom.factor()));
        if self.competition.should_start() {
            let window = self.path.recent_bandwidth() * rtt.as_secs_f64() / (1.0 - self.path.random_loss());
            self.competition.start(now, (window / self.path.packet_size).max(MIN_PACKETS));
        }
    }

    fn start_cruise(&mut self, now: Instant, queue: StandingQueue, drained_rtt: Duration) {
        if queue == StandingQueue::Absent && self.path.recent_bandwidth() < 0.8 * self.path.bandwidth() {
            self.path.retain_recent_bandwidth();
        }
        // Randomized, so that flows on one path do not probe at the same time.
        let random = (self.path.delivery.delivered() as u32 ^ drained_rtt.subsec_nanos()) / 8 % 5;
        let rounds_left = if queue == StandingQueue::Present { 4 } else { CRUISE_ROUNDS - 2 + random };
        self.enter(now, State::Cruise { rounds_left }, FlightLevel::At);
    }

    fn enter(&mut self, now: Instant, state: State, level: FlightLevel) {
        tracing::trace!(
            "{state:?}: bandwidth {:.2} Mbit/s, min RTT {:?}, random loss {:.4}, headroom {:.3}, window {:.0}",
            self.path.bandwidth() * 8e-6,
            self.path.min_rtt(),
            self.path.random_loss(),
            self.headroom.factor(),
            self.window
        );
        self.state = state;
        self.history.change(now, level);
    }

    /// Sets the window that the current state requires.
    fn update_window(&mut self) {
        let packet_size = self.path.packet_size;
        let extra = EXTRA_PACKETS * packet_size + unacknowledged(self.path.bandwidth(), packet_size);
        let with_headroom = |headroom: f64| (1.0 + headroom * self.headroom.factor()) * self.bdp() + extra;
        let window = match &self.state {
            State::Startup(_) => self.window,
            State::Drain(drain) => self.path.bdp_at(drain.rate(), self.headroom.factor()) + extra - packet_size,
            // No headroom here, so that the next probe sends a full quarter more.
            State::Cruise { .. } if self.competition.frozen_bdp().is_some() => self.bdp() + extra,
            State::Cruise { .. } => with_headroom(CRUISE_HEADROOM),
            State::Probe { .. } => with_headroom(PROBE_HEADROOM),
            State::Compete { .. } => self.competition.window().map_or(self.window, |cubic| cubic.cwnd() * packet_size),
        };
        self.window = window.max(MIN_PACKETS * packet_size);
    }

    /// The bandwidth-delay product, with the bytes that will be lost at random.
    fn bdp(&self) -> f64 {
        let current = || self.path.bdp_at(self.path.bandwidth(), self.headroom.factor());
        self.competition.frozen_bdp().unwrap_or_else(current)
    }
}

#[cfg(test)]
mod tests;
