//! What both sides of a leg agree on: timeouts, windows, packets.

use std::{sync::Arc, time::Duration};

use quinn::VarInt;

use super::{backlog, route::ORDINARY_PACKET};

/// What both sides of a leg agree on; `longest` is the longest UDP payload that is worth trying on it.
pub(super) fn transport_config(streams_from_peer: u32, longest: u16) -> quinn::TransportConfig {
    /// A leg that is silent for this long is dead.
    const IDLE: Duration = Duration::from_secs(12);
    /// Several of these fit into [`IDLE`], so that a lost one does not matter.
    const KEEP_ALIVE: Duration = Duration::from_secs(3);
    /// Every stream is always drained, so that this need only cover a leg's bandwidth-delay product: 1 Gbit/s × 250 ms.
    const STREAM_WINDOW: u32 = 32 * 1024 * 1024;
    /// Where packets are long, the window begins with so many of them: a probe, and some that need not wait for it. Where
    /// the way turns out to be ordinary they are 22 packets of 1,452 bytes, fewer than the 32 that some senders begin
    /// with on the Internet.
    const INITIAL_PACKETS: u64 = 5;

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
        .datagram_receive_buffer_size(None);
    let mut discovery = quinn::MtuDiscoveryConfig::default();
    discovery.upper_bound(longest);
    config.mtu_discovery_config(Some(discovery));
    if longest > ORDINARY_PACKET {
        // With the default of 14,720 bytes, one probe on its way and room for one more packet are all that fits: quinn
        // then holds back everything else, the close of the connection included.
        let mut congestion = quinn::congestion::CubicConfig::default();
        congestion.initial_window(INITIAL_PACKETS * u64::from(longest));
        config.congestion_controller_factory(Arc::new(congestion));
    }
    config
}
