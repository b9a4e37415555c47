//! Bytes that may be in flight above the window while nothing is acknowledged.

use std::time::{Duration, Instant};

/// The fewest packets that may be sent at a probe timeout (PTO). QUIC sends two packets then, and doubles the timeout
/// each time (RFC 9002 section 6.2). With so few packets, a burst that drops a fixed number of packets lasts too long.
const MIN_PACKETS: f64 = 8.0;

/// The most packets that may be sent at a PTO. Fewer packets bring few acknowledgements, and a burst on the way back
/// can drop all of them again.
const MAX_PACKETS: f64 = 64.0;

/// The part of the window that may be sent at a PTO, between [`MIN_PACKETS`] and [`MAX_PACKETS`]. The packets in flight
/// are probably lost, so this fills the path less than the window does.
const WINDOW_FRACTION: f64 = 0.5;

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
    /// allowance is then a part of `window` above the bytes in flight, which exceed the window by `above_window`.
    pub(super) fn on_sent(&mut self, now: Instant, rtt: Duration, window: f64, above_window: f64, packet_size: f64) {
        let is_probe = now.saturating_duration_since(self.last_acked.max(self.last_sent)) > rtt;
        if is_probe {
            let probe = (WINDOW_FRACTION * window).clamp(MIN_PACKETS * packet_size, MAX_PACKETS * packet_size);
            self.bytes = above_window.max(0.0) + probe;
        }
        self.last_sent = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_sends_half_a_window_within_bounds() {
        let (begin, ms) = (Instant::now(), Duration::from_millis(1));
        for (window, above_window, packets) in
            [(4.0, 0.0, 8.0), (40.0, 0.0, 20.0), (40.0, 3.0, 23.0), (900.0, 0.0, 64.0)]
        {
            let mut allowance = PtoAllowance::new(begin);
            allowance.on_sent(begin + 9 * ms, 10 * ms, window, above_window, 1.0);
            assert_eq!(allowance.bytes(), 0.0, "less than a round trip has passed");
            allowance.on_sent(begin + 20 * ms, 10 * ms, window, above_window, 1.0);
            assert_eq!(allowance.bytes(), packets, "a window of {window} packets");
            allowance.on_acked(begin + 21 * ms);
            assert_eq!(allowance.bytes(), 0.0);
        }
    }
}
