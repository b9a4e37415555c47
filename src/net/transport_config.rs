//! The QUIC transport configuration of both sides: timeouts, windows and packet sizes.

use std::{num::NonZeroU64, time::Duration};

use quinn::VarInt;

use super::{congestion::CongestionControl, path_mtu::DEFAULT_UDP_PAYLOAD, send_buffer};

/// The maximum number of streams that a client may open on its connection to a relay.
pub(super) const MAX_CLIENT_STREAMS: u32 = 16;

/// The maximum number of streams that a relay may open on a client's connection. A sender serves one download on each.
pub(super) const MAX_RELAY_STREAMS: u32 = 1024;

/// The transport settings that the user can choose.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransportOptions {
    /// The congestion controller.
    pub congestion: CongestionControl,
    /// The limit of the send rate in bytes per second, for all streams of a connection together.
    pub send_rate_limit: Option<NonZeroU64>,
}

/// Creates the transport configuration of a connection whose peer may have `max_peer_streams` streams open.
/// `max_udp_payload` bounds path MTU discovery.
pub(super) fn transport_config(
    max_peer_streams: u32,
    max_udp_payload: u16,
    congestion: CongestionControl,
) -> quinn::TransportConfig {
    /// A connection that is silent for this long is dead.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(12);
    /// Several keep-alives fit into [`IDLE_TIMEOUT`], so a lost one does no harm.
    const KEEP_ALIVE: Duration = Duration::from_secs(3);
    /// Every stream is always drained, so the window only has to cover the bandwidth-delay product of a leg:
    /// 1 Gbit/s × 250 ms.
    const STREAM_WINDOW: u32 = 32 * 1024 * 1024;
    /// In bytes: 32 packets of ordinary size, as some senders on the Internet start with, or seven large packets. quinn
    /// paces them. With quinn's default of 14,720 bytes, one MTU probe and one more large packet filled the window, and
    /// everything else had to wait, even the packet that closes the connection.
    const INITIAL_WINDOW: u64 = 32 * DEFAULT_UDP_PAYLOAD as u64;

    /// A lost packet of the handshake is sent again after three times this time. With quinn's default, which follows
    /// RFC 9002, that is a second. On a path with a longer round trip, the handshake is sent twice.
    const INITIAL_RTT: Duration = Duration::from_millis(100);

    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(max_peer_streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .stream_receive_window(STREAM_WINDOW.into())
        // The stream windows bound the memory. A window for the whole connection would let slow streams starve others.
        .receive_window(VarInt::MAX)
        .send_window(send_buffer::MIN_SIZE) // follows the congestion window later
        .congestion_controller_factory(congestion.factory(INITIAL_WINDOW))
        .datagram_receive_buffer_size(None);
    let mut discovery = quinn::MtuDiscoveryConfig::default();
    discovery.upper_bound(max_udp_payload);
    config.mtu_discovery_config(Some(discovery));
    config
}
