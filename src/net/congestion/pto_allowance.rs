//! Bytes that may be in flight above the window while nothing is acknowledged.

use std::time::{Duration, Instant};

/// The number of packets that may be sent at a probe timeout (PTO). QUIC sends two packets then, and doubles the
/// timeout each time (RFC 9002 section 6.2). With so few packets, a burst that drops a fixed number of packets lasts
/// too long.
const PACKETS: f64 = 8.0;

/// Bytes that may be in flight above the window while nothing is acknowledged.
#[derive(Debug, Clone)]
pub(super) struct PtoAllowance {
    last_acked: Instant,
    last_sent: Instant,
    bytes: f64,
}

impl PtoAllowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_acked: now, last_sent: now, bytes: 0.0 }
    }

    /// The bytes allowed above the window.
    pub(super) fn bytes(&self) -> f64 {
        self.bytes
    }

    /// Records an acknowledgement: the allowance ends.
    pub(super) fn on_acked(&mut self, now: Instant) {
        (self.last_acked, self.bytes) = (now, 0.0);
    }

    /// Records that a packet was sent. It counts as a probe if nothing was sent or acknowledged for `rtt`; the
    /// allowance is then [`PACKETS`] above the bytes in flight.
    pub(super) fn on_sent(&mut self, now: Instant, rtt: Duration, above_window: f64, packet_size: f64) {
        let is_probe = now.saturating_duration_since(self.last_acked.max(self.last_sent)) > rtt;
        if is_probe {
            self.bytes = above_window.max(0.0) + PACKETS * packet_size;
        }
        self.last_sent = now;
    }
}
