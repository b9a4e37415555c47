//! Detects a flow that fills the queue, and competes with it.
//!
//! If the round-trip time stays high although our own queue is drained, another flow fills the queue, or the route has
//! become longer. A probe distinguishes them: on a longer route, more bytes in flight raise the delivery rate.

use std::time::{Duration, Instant};

use super::cubic::CubicWindow;

/// The controller starts to compete after this many consecutive drains with a standing queue.
const DRAINS_TO_COMPETE: u32 = 3;

/// The controller stops competing after this many consecutive drains without a standing queue.
const DRAINS_TO_STOP: u32 = 2;

/// Whether a queue remains although our own is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StandingQueue {
    Absent,
    Unclear,
    Present,
}

/// Whether another flow fills the queue, and the window to compete with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Competition {
    /// Consecutive drains with a standing queue.
    queued_drains: u32,
    /// Consecutive drains without a standing queue.
    unqueued_drains: u32,
    window: Option<CubicWindow>,
    /// The bandwidth-delay product before the queue appeared, while the cause of the queue is unclear.
    frozen_bdp: Option<f64>,
}

impl Competition {
    /// Whether the controller competes with another flow.
    pub(super) fn is_active(&self) -> bool {
        self.window.is_some()
    }

    /// The CUBIC window, while the controller competes.
    pub(super) fn window(&self) -> Option<&CubicWindow> {
        self.window.as_ref()
    }

    /// The CUBIC window, while the controller competes.
    pub(super) fn window_mut(&mut self) -> Option<&mut CubicWindow> {
        self.window.as_mut()
    }

    /// The bandwidth-delay product to use instead of the current estimate, while the cause of a standing queue is
    /// unclear.
    pub(super) fn frozen_bdp(&self) -> Option<f64> {
        self.frozen_bdp
    }

    /// Whether the latest drain has shown a standing queue.
    pub(super) fn is_suspected(&self) -> bool {
        self.queued_drains > 0
    }

    /// Records the result of a drain. Stops competing after [`DRAINS_TO_STOP`] drains without a standing queue.
    pub(super) fn on_drain(&mut self, queue: StandingQueue) {
        self.queued_drains = if queue == StandingQueue::Present { self.queued_drains + 1 } else { 0 };
        self.unqueued_drains = if queue == StandingQueue::Absent { self.unqueued_drains + 1 } else { 0 };
        if self.unqueued_drains >= DRAINS_TO_STOP {
            self.window = None;
        }
    }

    /// Dismisses the suspicion: the route has become longer.
    pub(super) fn dismiss(&mut self) {
        self.queued_drains = 0;
    }

    /// Freezes the bandwidth-delay product at `bdp` while another flow is suspected, unless it is frozen already.
    pub(super) fn update_frozen_bdp(&mut self, bdp: f64) {
        self.frozen_bdp = self.is_suspected().then(|| self.frozen_bdp.unwrap_or(bdp));
    }

    /// Whether to start competing.
    pub(super) fn should_start(&self) -> bool {
        !self.is_active() && self.queued_drains >= DRAINS_TO_COMPETE
    }

    /// Starts to compete with a window of `packets`.
    pub(super) fn start(&mut self, now: Instant, packets: f64) {
        self.frozen_bdp = None;
        self.window = Some(CubicWindow::new(now, packets));
    }

    /// Excludes the time of a drain from the growth of the window.
    pub(super) fn exclude_drain(&mut self, duration: Duration) {
        if let Some(cubic) = &mut self.window {
            cubic.exclude_pause(duration);
        }
    }
}
