//! The states of the controller.

use super::drain::Drain;

/// The state of the controller. The diagram in [`super`] shows the transitions.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Grows the window until the path is full.
    Startup(Startup),
    /// Keeps fewer bytes in flight than the path holds, and measures the path.
    Drain(Drain),
    /// Keeps slightly more bytes in flight than the path holds.
    Cruise { rounds_left: u32 },
    /// Tests whether more bytes in flight raise the delivery rate.
    Probe { bandwidth_before: f64 },
    /// Competes with a flow that fills the queue.
    Compete { rounds_left: u32 },
}

/// The progress of start-up.
#[derive(Debug, Clone, Default)]
pub(super) struct Startup {
    /// The bandwidth when it last grew by a quarter.
    full_bandwidth: f64,
    rounds_without_growth: u32,
    /// Consecutive round-trip times that show a queue.
    long_rtts: u32,
}

impl Startup {
    /// Restarts start-up at a known bandwidth.
    pub(super) fn from_bandwidth(bandwidth: f64) -> Self {
        Self { full_bandwidth: bandwidth, ..Self::default() }
    }

    /// Records a round-trip time. Returns whether a queue has built up: four long ones in a row.
    pub(super) fn has_queue(&mut self, is_long: bool) -> bool {
        self.long_rtts = if is_long { self.long_rtts + 1 } else { 0 };
        self.long_rtts >= 4
    }

    /// Records the bandwidth at the end of a round. Returns whether it has not grown for three rounds. Rounds in which
    /// the application had too little to send do not count.
    pub(super) fn has_stopped_growing(&mut self, bandwidth: f64, app_limited: bool) -> bool {
        if bandwidth >= 1.25 * self.full_bandwidth {
            (self.full_bandwidth, self.rounds_without_growth) = (bandwidth, 0);
        } else if !app_limited {
            self.rounds_without_growth += 1;
        }
        self.rounds_without_growth >= 3
    }
}
