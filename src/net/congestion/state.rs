//! The states of the controller.

use std::time::Duration;

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

/// On a path with a longer round trip, the window doubles in this time instead of each round trip.
const DOUBLING_TIME: Duration = Duration::from_millis(200);

/// The window grows at most by this factor per round trip, so that a slow path loses little when its queue overflows.
const MAX_GROWTH: f64 = 8.0;

/// Above this rate, in bytes per second (30 Mbit/s), the window only doubles each round trip.
const FAST_GROWTH_RATE: f64 = 30e6 / 8.0;

/// No path of a usable network has a longer round trip.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(600);

/// Returns the factor by which `window`, in bytes, grows in start-up per round trip.
///
/// A satellite would otherwise take 5 s to fill 250 Mbit/s × 600 ms. TCP Hybla gives long round trips the growth of
/// short ones for the same reason (Caini and Firrincieli, 2004).
pub(super) fn startup_growth(window: f64, min_rtt: Duration) -> f64 {
    let rtt = min_rtt.min(MAX_ROUND_TRIP);
    let growth = rtt.div_duration_f64(DOUBLING_TIME).exp2();
    if window < FAST_GROWTH_RATE * rtt.as_secs_f64() { growth.clamp(2.0, MAX_GROWTH) } else { 2.0 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_grow_faster_up_to_30_mbit_per_second() {
        let growth = |window, ms| startup_growth(window, Duration::from_millis(ms));
        assert_eq!(growth(46_000.0, 10), 2.0);
        assert_eq!(growth(46_000.0, 200), 2.0);
        assert_eq!(growth(46_000.0, 400), 4.0);
        assert_eq!(growth(46_000.0, 600), 8.0);
        assert_eq!(growth(2_200_000.0, 600), 8.0);
        assert_eq!(growth(2_300_000.0, 600), 2.0, "30 Mbit/s × 600 ms are 2,250,000 bytes");
        assert_eq!(growth(2_300_000.0, 10_000), 2.0, "an absurd round trip");
    }
}
