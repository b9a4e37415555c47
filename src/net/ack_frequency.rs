//! How often a peer acknowledges packets (draft-ietf-quic-ack-frequency).
//!
//! QUIC's default is an acknowledgement for every second packet (RFC 9000 section 13.2.2). At 110 Mbit/s they fill an
//! upstream of 3 Mbit/s, as on a satellite link. The controller takes the delay for a queue, and 250 Mbit/s stay half
//! empty. With six packets, that happens at 330 Mbit/s. Fewer acknowledgements have a price on short paths that lose
//! packets in bursts: a burst that drops the few acknowledgements of a window costs a probe timeout. With ten packets,
//! the goodput at 300 Mbit/s × 5 ms fell from 0.93 to 0.76.

use std::time::Duration;

/// The peer acknowledges at the latest after this many packets.
const ACK_EVERY: u32 = 6;

/// The peer acknowledges at the latest after this time, the shortest that quinn allows. It is part of the round-trip
/// times that the congestion controller measures, and of the probe timeout for a lost last packet.
const ACK_DELAY: Duration = Duration::from_millis(1);

/// The peer acknowledges at once when a packet is this far behind a later one, because the sender then declares it lost
/// (RFC 9002 section 6.1.1).
const REORDERING_THRESHOLD: u32 = 3;

/// Returns quinn's configuration.
pub(super) fn ack_frequency_config() -> quinn::AckFrequencyConfig {
    let mut config = quinn::AckFrequencyConfig::default();
    config
        .ack_eliciting_threshold((ACK_EVERY - 1).into()) // packets without an acknowledgement
        .max_ack_delay(Some(ACK_DELAY))
        .reordering_threshold(REORDERING_THRESHOLD.into());
    config
}

/// Returns the bytes that have arrived at `rate` bytes per second and are not acknowledged yet, on average: half of the
/// most that the peer may leave.
pub(super) fn unacknowledged(rate: f64, packet_size: f64) -> f64 {
    (rate * ACK_DELAY.as_secs_f64()).min(f64::from(ACK_EVERY) * packet_size) / 2.0
}
