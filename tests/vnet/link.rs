//! An emulated link: one direction with a queue, a rate, a delay and impairments.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    impairments::{Impairments, PacketOutcome},
    link_config::LinkConfig,
    network::{Action, SharedNetwork},
    socket::Packet,
    tally::LinkCounters,
};

/// A handle to a link.
#[derive(Debug, Clone)]
pub(crate) struct EmulatedLink {
    pub(super) network: Arc<SharedNetwork>,
    pub(super) number: usize,
}

impl EmulatedLink {
    /// Returns the counters.
    pub(crate) fn counters(&self) -> LinkCounters {
        self.network.access(|state, _| state.links[self.number].counters)
    }

    /// Returns the length of the queue in bytes, the packet in transmission included.
    pub(crate) fn queued_bytes(&self) -> u64 {
        self.network.access(|state, _| state.links[self.number].queued_bytes)
    }

    /// Returns the configuration in force.
    pub(crate) fn config(&self) -> LinkConfig {
        self.network.access(|state, _| state.links[self.number].config.clone())
    }

    /// Changes the configuration now. Packets after the queue keep their delay; queued packets get the new rate.
    pub(crate) fn change(&self, change: impl FnOnce(&mut LinkConfig)) {
        self.network.access(|state, now| state.change_link(self.number, now, change));
    }

    /// Changes the configuration exactly after `time`.
    pub(crate) fn change_after(&self, time: Duration, change: impl FnOnce(&mut LinkConfig) + Send + 'static) {
        self.network.access(|state, now| state.schedule(now + time, Action::Change(self.number, Box::new(change))));
    }

    /// Cuts the link after `time`, for `length`.
    pub(crate) fn cut_after(&self, time: Duration, length: Duration) {
        self.change_after(time, |config| config.cut = true);
        self.change_after(time + length, |config| config.cut = false);
    }
}

/// The state of a link. It has no clock: callers pass the time, and it returns what to schedule.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) config: LinkConfig,
    pub(super) counters: LinkCounters,
    impairments: Impairments,
    /// The first packet is in transmission.
    queue: VecDeque<Packet>,
    queued_bytes: u64,
    /// When the transmission of the first packet ends.
    transmitted_at: Duration,
    /// Counts the schedules of [`Transmission`]. Only the last one is valid.
    schedules: u64,
    /// The latest arrival of a packet that keeps its order. No later packet arrives before it.
    last_arrival: Duration,
    /// The policer's tokens, and the time at which they were counted.
    tokens: Option<(f64, Duration)>,
}

/// The end of the transmission of the first queued packet: its time, and the number of its schedule.
pub(super) type Transmission = Option<(Duration, u64)>;

impl LinkState {
    pub(super) fn new(config: LinkConfig, impairments: Impairments) -> Self {
        Self {
            config,
            counters: LinkCounters::default(),
            impairments,
            queue: VecDeque::new(),
            queued_bytes: 0,
            transmitted_at: Duration::ZERO,
            schedules: 0,
            last_arrival: Duration::ZERO,
            tokens: None,
        }
    }

    /// Queues a packet or drops it.
    pub(super) fn offer(&mut self, packet: Packet, now: Duration) -> Transmission {
        let size = packet.size();
        let counters = &mut self.counters;
        counters.offered.add(size);
        if self.config.cut {
            counters.cut.add(size);
        } else if size > self.config.mtu {
            counters.too_long.add(size);
        } else if !self.passes_policer(size, now) {
            self.counters.policed.add(size);
        } else if self.queued_bytes > 0 && self.queued_bytes + size > self.config.queue {
            self.counters.overflowed.add(size);
        } else {
            self.queued_bytes += size;
            self.counters.longest_queue = self.counters.longest_queue.max(self.queued_bytes);
            self.queue.push_back(packet);
            if self.queue.len() == 1 {
                return self.begin_transmission(now);
            }
        }
        None
    }

    /// Ends the transmission of the first packet if `schedule` is still valid. Returns the packet with the times at
    /// which it arrives, and the next transmission.
    pub(super) fn end_transmission(
        &mut self,
        schedule: u64,
        now: Duration,
    ) -> (Option<(Packet, Vec<Duration>)>, Transmission) {
        if schedule != self.schedules {
            return (None, None);
        }
        let Some(packet) = self.queue.pop_front() else { return (None, None) };
        let size = packet.size();
        self.queued_bytes -= size;
        let outcome = self.impairments.draw(&self.config);
        let arrivals = match outcome {
            _ if self.config.cut => {
                self.counters.cut.add(size);
                Vec::new()
            }
            PacketOutcome::Lost => {
                self.counters.lost.add(size);
                Vec::new()
            }
            PacketOutcome::Arrives { extra_delay, reordered, duplicated } => {
                let mut at = now + self.config.delay + extra_delay;
                if !reordered {
                    at = at.max(self.last_arrival);
                    self.last_arrival = at;
                }
                if duplicated {
                    self.counters.duplicated.add(size);
                }
                vec![at; 1 + usize::from(duplicated)]
            }
        };
        (Some((packet, arrivals)), self.begin_transmission(now))
    }

    /// Changes the configuration. The rest of the packet in transmission is sent at the new rate.
    pub(super) fn change(&mut self, now: Duration, change: impl FnOnce(&mut LinkConfig)) -> Transmission {
        let before = self.config.clone();
        change(&mut self.config);
        assert!(self.config.rate != Some(0), "a rate of zero must be expressed as a cut");
        if self.config.policer != before.policer {
            self.tokens = None;
        }
        if self.config.delay < before.delay {
            self.last_arrival = Duration::ZERO; // on a shorter path, new packets overtake the old ones
        }
        if self.config.rate == before.rate || self.queue.is_empty() {
            return None;
        }
        let left = self.transmitted_at.saturating_sub(now).as_secs_f64();
        let factor = match (before.rate, self.config.rate) {
            (Some(before), Some(after)) => before as f64 / after as f64,
            _ => 0.0,
        };
        self.schedule(now + Duration::from_secs_f64(left * factor))
    }

    fn begin_transmission(&mut self, now: Duration) -> Transmission {
        let first = self.queue.front()?;
        let at = now + self.config.transmission_time(first.size());
        self.schedule(at)
    }

    fn schedule(&mut self, at: Duration) -> Transmission {
        self.transmitted_at = at;
        self.schedules += 1;
        Some((at, self.schedules))
    }

    fn passes_policer(&mut self, size: u64, now: Duration) -> bool {
        let Some(policer) = self.config.policer else { return true };
        let (held, since) = self.tokens.unwrap_or((policer.burst as f64, now));
        let earned = (now.saturating_sub(since)).as_secs_f64() * policer.rate as f64;
        let tokens = (held + earned).min(policer.burst as f64);
        let passes = tokens >= size as f64;
        self.tokens = Some((if passes { tokens - size as f64 } else { tokens }, now));
        passes
    }
}
