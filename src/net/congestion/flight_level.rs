//! How full the path was when a packet was sent.

use std::{collections::VecDeque, time::Instant};

/// How the bytes in flight compared with the bandwidth-delay product when a packet was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlightLevel {
    /// Less was in flight: a drain was in effect.
    Below,
    /// About as much was in flight.
    At,
    /// More was in flight: in a probe, and in a drain until it takes effect.
    Above,
}

/// The latest changes of the flight level.
#[derive(Debug, Clone)]
pub(super) struct FlightHistory {
    /// The oldest change is first.
    changes: VecDeque<(Instant, FlightLevel)>,
}

impl FlightHistory {
    /// No packet stays in flight for more changes than this.
    const MAX_CHANGES: usize = 16;

    pub(super) fn new(now: Instant) -> Self {
        Self { changes: VecDeque::from([(now, FlightLevel::At)]) }
    }

    /// Records that packets are sent at `level` from now on.
    pub(super) fn change(&mut self, now: Instant, level: FlightLevel) {
        self.changes.push_back((now, level));
        while self.changes.len() > Self::MAX_CHANGES {
            self.changes.pop_front();
        }
    }

    /// The level when a packet was sent.
    pub(super) fn level_at(&self, sent: Instant) -> FlightLevel {
        let change = self.changes.iter().rev().find(|(began, _)| *began <= sent);
        change.map_or(FlightLevel::Above, |(_, level)| *level)
    }
}
