//! What both sides of a leg agree on: timeouts, windows, packets; and what whoever runs this may choose.

use std::{num::NonZeroU64, time::Duration};

use quinn::VarInt;

use super::{backlog, congestion::CongestionControl, route::ORDINARY_PACKET};

/// What whoever runs this may choose for a line.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransportOptions {
    /// Who decides how much is on its way.
    pub congestion: CongestionControl,
    /// Bytes a second that may leave, all streams of a connection together.
    pub send_rate_limit: Option<NonZeroU64>,
}

/// What both sides of a leg agree on; `longest` is the longest UDP payload that is worth trying on it.
pub(super) fn transport_config(
    streams_from_peer: u32,
    longest: u16,
    congestion: CongestionControl,
) -> quinn::TransportConfig {
    /// A leg that is silent for this long is dead.
    const IDLE: Duration = Duration::from_secs(12);
    /// Several of these fit into [`IDLE`], so that a lost one does not matter.
    const KEEP_ALIVE: Duration = Duration::from_secs(3);
    /// Every stream is always drained, so that this need only cover a leg's bandwidth-delay product: 1 Gbit/s × 250 ms.
    const STREAM_WINDOW: u32 = 32 * 1024 * 1024;
    /// The first window: 32 ordinary packets, with which some senders begin on the Internet; they are paced. Where
    /// packets are long, it holds seven: with quinn's own 14,720 bytes, one probe for the MTU on its way and room for one
    /// more packet were all that fitted, and everything else was held back, the close of the connection included.
    const INITIAL_WINDOW: u64 = 32 * ORDINARY_PACKET as u64;

    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams_from_peer.into())
        .max_concurrent_uni_streams(0u32.into())
        .max_idle_timeout(Some(VarInt::from_u32(IDLE.as_millis() as u32).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(STREAM_WINDOW.into())
        // The windows of the streams are the bound; one for all would let slow streams starve the others.
        .receive_window(VarInt::MAX)
        .send_window(backlog::SHORTEST) // which then follows the congestion window
        .congestion_controller_factory(congestion.factory(INITIAL_WINDOW))
        .datagram_receive_buffer_size(None);
    let mut discovery = quinn::MtuDiscoveryConfig::default();
    discovery.upper_bound(longest);
    config.mtu_discovery_config(Some(discovery));
    config
}
