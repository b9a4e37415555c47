//! How much may be on its way: congestion control.
//!
//! The usual controllers take a lost packet for a full queue. On a line that loses one packet in a hundred by itself,
//! CUBIC (RFC 9438) is left with a few percent of it. The controller here makes a *model* of the line instead, as BBR
//! does (draft-ietf-ccwg-bbr): the rate at which it delivers and the round trip that it takes while its queues are empty.
//! Their product is what the line holds, and about so much is kept on its way, whatever is lost.
//!
//! quinn paces a connection at 1.25 windows a round trip and asks a controller for nothing but the window. So the model
//! acts through the window alone: what BBR does with a pacing gain is done here with more or fewer bytes on their way.
//!
//! # States
//!
//! ```text
//!            the queue stands, or the rate grows no more, or much is lost
//!  Startup ────────────────────────────────────────────────▶ Drain ◀─────────────────────┐
//!  the window doubles                                        0.9 of the product:         │ 24 rounds
//!  every round trip                                          base round trip and own     │ later
//!     ▲                                                      loss are measured           │
//!     │ the probe brought 15 % more                          │          │ three floors   │
//!     └──────────────────────────────────────────────────────┤          │ in a row are   │
//!                                                            ▼          ▼ high           │
//!  Probe ◀────────────────────────────────────────────── Cruise      Compete ────────────┘
//!  1.25 of the product,    6 to 10 rounds later          1.08        as CUBIC does,
//!  for a round, then Drain                                           until two floors are low
//! ```
//!
//! - *Rate*: the highest delivery rate of the last ten rounds ([`rate`]). Rounds in which the application had too little
//!   to send do not count.
//! - *Base*: the lowest of the *floors* of the last 30 s; a floor is the lower quartile of the round trips in a drain
//!   ([`floor`]), so that jitter is part of the line and our own queue is not. Round trips below 3 ms count as 3 ms:
//!   they are made by schedulers rather than by lines.
//! - *Own loss*: what the line loses while less is on its way than it holds ([`loss`]). The window is larger by as much,
//!   since what is lost is on its way too. Losses far above it are taken for a short queue or a policer: the part of the
//!   window above the product, the headroom, is halved, and comes back by a quarter for each drain without such a loss.
//! - *Somebody else's queue*: when the round trip stays high although our own queue is drained, either somebody fills the
//!   queue or the route has become longer. A probe tells them apart: on a longer route more packets bring more. Beside
//!   somebody who fills the queue a model would be pushed away, and so the window becomes that of CUBIC ([`cubic`]), which
//!   gives way at the top of the queue only, and looks every 24 rounds whether it is alone again.
//!
//! # Why these numbers
//!
//! | constant | reason |
//! |---|---|
//! | 1.08 | a queue of 4 ms on a line of 50 ms: enough to keep it busy over drains and late acknowledgements |
//! | 1.25 | doubles in three probes, and overflows a queue of a tenth of the product by 15 % of a round, once in ten |
//! | 0.9 | below the product even where the rate is overrated by a tenth |
//! | each fourth drain makes no room for loss | what a policer drops, taken for the line's own, would never be found out |
//! | startup ends at 1.06 × base + 1 ms, four times in a row | at 1.2 a queue of one product overflowed by 9 % |
//! | 10 rounds | from one probe to the next |
//! | 8 packets beside a probe | bursts that lose packet by packet ended transfers: two probes, each after twice the wait, are lost too |
//! | 2 % | less excess loss is not worth a reaction |
//!
//! What came of them is in `docs/congestion.md`, and `cargo bench --bench lossy` measures it again.

mod cubic;
mod drain;
mod floor;
mod loss;
mod model;
mod rate;

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{BbrConfig, Controller, ControllerFactory, CubicConfig};
use quinn_proto::RttEstimator;

use self::model::Model;

/// Which controller decides how much is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CongestionControl {
    /// The one described here.
    #[default]
    Auto,
    /// CUBIC, as quinn has it.
    Cubic,
    /// BBR, as quinn has it: an experiment of theirs.
    Bbr,
}

impl CongestionControl {
    /// What makes such a controller for each path, whose first window has so many bytes.
    pub fn factory(self, initial_window: u64) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Auto => Arc::new(Models { initial_window }),
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

/// Makes a model for each path.
#[derive(Debug)]
struct Models {
    initial_window: u64,
}

impl ControllerFactory for Models {
    fn build(self: Arc<Self>, now: Instant, packet: u16) -> Box<dyn Controller> {
        Box::new(Modelled(Model::new(now, packet, self.initial_window)))
    }
}

/// Tells a model what quinn tells a controller.
#[derive(Debug, Clone)]
struct Modelled(Model);

impl Controller for Modelled {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet: u64) {
        self.0.sent(now, bytes);
    }

    fn on_ack(&mut self, _now: Instant, sent: Instant, bytes: u64, _app_limited: bool, _rtt: &RttEstimator) {
        self.0.acked(sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _largest: Option<u64>) {
        self.0.acked_all(now, in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost: u64) {
        self.0.lost(now, sent, lost, persistent);
    }

    fn on_mtu_update(&mut self, packet: u16) {
        self.0.set_packet(packet);
    }

    fn window(&self) -> u64 {
        self.0.window()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.0.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
