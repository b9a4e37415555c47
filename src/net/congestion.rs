//! Congestion control: how many bytes may be in flight.
//!
//! Most controllers treat packet loss as a sign of a full queue. On a fast path that loses one packet in a hundred at
//! random, CUBIC (RFC 9438) uses a few percent of the bandwidth. This controller maintains a *model* of the path
//! instead, as BBR does (draft-ietf-ccwg-bbr): the bandwidth of the bottleneck, and the round-trip time (RTT) without
//! queues. Their product, the bandwidth-delay product (BDP), is the number of bytes that the path holds. The controller
//! keeps about this many bytes in flight regardless of random loss.
//!
//! quinn paces a connection at 1.25 windows per round trip, and a controller determines only the congestion window.
//! Where BBR changes its pacing gain, this controller changes the window.
//!
//! # States
//!
//! ```text
//!            a queue builds up, the bandwidth stops growing, or much is lost
//!  Startup ────────────────────────────────────────────────▶ Drain ◀─────────────────────┐
//!  the window doubles                                        0.9 BDP:                    │ 24 rounds
//!  every round trip                                          measures min RTT            │ later
//!     ▲                                                      and random loss             │
//!     │ the probe has raised                                 │          │ the RTT stays  │
//!     │ the bandwidth by 15 %                                │          │ high in three  │
//!     └──────────────────────────────────────────────────────┤          │ drains         │
//!                                                            ▼          ▼                │
//!  Probe ◀────────────────────────────────────────────── Cruise      Compete ────────────┘
//!  1.25 BDP for a round,     6 to 10 rounds later        1.08 BDP    as CUBIC, until the RTT
//!  then Drain                                                        is low in two drains
//! ```
//!
//! - *Bandwidth* ([`path`]): the highest delivery rate ([`delivery_rate`]) of the last ten rounds. Rounds in which the
//!   application has too little to send do not count.
//! - *Min RTT* ([`min_rtt`]): the lowest drained RTT of the last 30 s. A drained RTT is the lower quartile of the
//!   round-trip times in a drain, so it contains the jitter of the path but not our own queue. The BDP is computed with
//!   the mean of a drain instead. A min RTT below 3 ms counts as 3 ms, because it consists mostly of scheduling delays.
//! - *Random loss* ([`loss`]): the fraction of packets that is lost while fewer bytes are in flight than the path
//!   holds. The window is larger by this fraction, because lost packets are in flight too. A much higher loss indicates
//!   a short queue or a policer. It halves the *headroom*, the part of the window above the BDP. The headroom grows by
//!   a quarter after each drain without such a loss.
//! - *Competition* ([`competition`]): if the RTT stays high although our own queue is drained, another flow fills the
//!   queue, or the route has become longer. A probe distinguishes them: on a longer route, more bytes in flight raise
//!   the delivery rate. Until this is clear, excess loss does not reduce the headroom: on a longer route it may be
//!   random. Against a flow that fills the queue, the model would lose its share of the bandwidth. So the controller
//!   switches to a CUBIC window ([`cubic`]). It reduces this window only when the queue is nearly full, and every 24
//!   rounds a drain checks whether the other flow is still active.
//!
//! # Constants
//!
//! | constant | reason |
//! |---|---|
//! | start-up doubles the window every 200 ms, up to 30 Mbit/s × RTT | 250 Mbit/s × 600 ms would take 5 s to fill |
//! | 1.08 | a queue of 4 ms on a path of 50 ms keeps the path busy during drains and late acknowledgements |
//! | 1.25 | doubles the rate in three probes; once in ten rounds, overflows a queue of 0.1 BDP by 15 % of a round |
//! | 0.9 | stays below the BDP even if the bandwidth is overestimated by a tenth |
//! | one drain in four leaves no room for random loss | otherwise a policer's drops would always count as random |
//! | start-up ends after four RTTs above 1.06 × min RTT + 1 ms | at 1.2, a queue of 1 BDP overflowed by 9 % |
//! | no start-up after an RTT above 1.25 × min RTT | a second start-up overflowed a queue of 1 BDP by 1.1 % |
//! | 10 rounds | the time from one probe to the next |
//! | half a window at a probe timeout | with two packets and a doubling timeout, bursts of losses ended transfers |
//! | 2 % | a smaller excess loss does not justify a reaction |
//!
//! `docs/congestion.md` contains the measurements; `cargo bench --bench lossy` repeats them.

mod auto;
mod competition;
mod cubic;
mod delivery_rate;
mod drain;
mod flight_level;
mod headroom;
mod loss;
mod min_rtt;
mod model;
mod path;
mod pto_allowance;
mod round;
mod state;
mod windowed_max;

use std::sync::Arc;

use quinn::{
    TransportConfig,
    congestion::{BbrConfig, ControllerFactory, CubicConfig},
};

use self::auto::AutoControllerFactory;
use super::ack_frequency::ack_frequency_config;

/// The congestion controller of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CongestionControl {
    /// The controller described in the module documentation.
    #[default]
    Auto,
    /// quinn's CUBIC.
    Cubic,
    /// quinn's BBR, which quinn considers experimental.
    Bbr,
}

impl CongestionControl {
    /// Sets the controller of a connection, and how often the peer acknowledges its packets. `initial_window` is in
    /// bytes.
    pub fn configure(self, config: &mut TransportConfig, initial_window: u64) {
        config
            .congestion_controller_factory(self.factory(initial_window))
            .ack_frequency_config(Some(ack_frequency_config()));
    }

    /// Returns a factory that creates the controller of each path.
    fn factory(self, initial_window: u64) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Auto => Arc::new(AutoControllerFactory { initial_window }),
            Self::Cubic => {
                let mut config = CubicConfig::default();
                config.initial_window(initial_window);
                Arc::new(config)
            }
            Self::Bbr => {
                let mut config = BbrConfig::default();
                config.initial_window(initial_window);
                Arc::new(config)
            }
        }
    }
}
