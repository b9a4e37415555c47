//! Implements quinn's controller traits with the [`Model`].

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use super::model::Model;

/// Creates a controller for each path.
#[derive(Debug)]
pub(super) struct AutoControllerFactory {
    /// In bytes.
    pub(super) initial_window: u64,
}

impl ControllerFactory for AutoControllerFactory {
    fn build(self: Arc<Self>, now: Instant, packet_size: u16) -> Box<dyn Controller> {
        Box::new(AutoController(Model::new(now, packet_size, self.initial_window)))
    }
}

/// Passes quinn's events to the model.
#[derive(Debug, Clone)]
struct AutoController(Model);

impl Controller for AutoController {
    fn on_sent(&mut self, now: Instant, bytes: u64, _last_packet: u64) {
        self.0.on_sent(now, bytes);
    }

    fn on_ack(&mut self, _now: Instant, sent: Instant, bytes: u64, _app_limited: bool, _rtt: &RttEstimator) {
        self.0.on_acked(sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _largest: Option<u64>) {
        self.0.end_acks(now, in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost: u64) {
        self.0.on_lost(now, sent, lost, persistent);
    }

    fn on_mtu_update(&mut self, packet_size: u16) {
        self.0.set_packet_size(packet_size);
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
