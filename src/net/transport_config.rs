//! The QUIC transport configuration of both sides: timeouts, windows and packet sizes.

use std::{sync::Arc, time::Duration};

use quinn::VarInt;

use super::{congestion::CongestionControl, path_mtu::DEFAULT_UDP_PAYLOAD, send_buffer};
use crate::rate_limiter::RateLimiter;

/// The maximum number of streams that a client may open on its connection to a relay.
pub(super) const MAX_CLIENT_STREAMS: u32 = 16;

/// The maximum number of streams that a relay may open on a sender's connection. A sender serves one download on each.
pub(super) const MAX_RELAY_STREAMS: u32 = 1024;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// The window that covers the bandwidth-delay product of a leg: 1 Gbit/s × 250 ms.
const BULK_WINDOW: u32 = 32 * MIB;

/// The window of a relay's connection before its first bridge, in bytes. The budget of the relay counts it for each
/// connection.
const IDLE_WINDOW: u32 = 32 * KIB;

/// The transport settings of an endpoint.
#[derive(Debug, Clone, Default)]
pub struct TransportOptions {
    /// The congestion controller.
    pub congestion: CongestionControl,
    /// The limiter of the send rate, which all connections with these settings share; `None` for no limit.
    pub send_limiter: Option<Arc<RateLimiter>>,
    /// The role of a client. A relay ignores it.
    pub role: ClientRole,
}

/// The role of a client on its connection to a relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientRole {
    /// The client shares. The relay opens a stream for each receiver.
    #[default]
    Sender,
    /// The client downloads. The relay opens no streams.
    Receiver,
}

/// The flow-control windows of a connection. They limit the unread bytes of the peer.
///
/// Every stream is always read ([`super::peer_wait`]), so a window only has to cover the bandwidth-delay product. It
/// bounds the memory when a peer sends faster than this process reads.
///
/// quinn fixes the window of streams when the connection begins. The window of the connection begins small and is
/// raised once to [`Windows::raised`]. It is never lowered: QUIC cannot revoke granted credit, and quinn grants a
/// second raise in full on top of the first one, so a peer that alternates would accumulate windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// The maximum number of streams that the peer may have open.
    peer_streams: u32,
    stream: u32,
    /// The initial window of the whole connection.
    first: u32,
    /// The window of the whole connection while content may arrive.
    pub(super) raised: u32,
}

impl Windows {
    /// Returns the windows of a relay. Before a bridge, a client sends a request and flight 1 of a handshake on each
    /// stream, a few kilobytes.
    pub(super) const RELAY: Self =
        Self { peer_streams: MAX_CLIENT_STREAMS, stream: BULK_WINDOW, first: IDLE_WINDOW, raised: BULK_WINDOW };

    /// Returns the windows of a sender. Receivers send requests, chaining values and credit: 32 bytes for each MiB, so
    /// a stream window of 256 KiB per round trip is ample. The window of the connection covers 64 streams whose windows
    /// are full at the same time.
    const SENDER: Self = Self { peer_streams: MAX_RELAY_STREAMS, stream: 256 * KIB, first: 16 * MIB, raised: 16 * MIB };

    /// Returns the windows of a receiver. Before its session is confirmed, it receives flight 2 with up to 64 KiB of
    /// the manifest.
    const RECEIVER: Self = Self { peer_streams: 0, stream: BULK_WINDOW, first: 256 * KIB, raised: BULK_WINDOW };

    pub(super) fn of_client(role: ClientRole) -> Self {
        match role {
            ClientRole::Sender => Self::SENDER,
            ClientRole::Receiver => Self::RECEIVER,
        }
    }
}

/// Creates the transport configuration of a connection with these windows. `max_udp_payload` bounds path MTU discovery.
pub(super) fn transport_config(
    windows: Windows,
    max_udp_payload: u16,
    initial_rtt: Duration,
    congestion: CongestionControl,
) -> quinn::TransportConfig {
    /// A connection that is silent for this long is dead.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(12);
    /// Several keep-alives fit into [`IDLE_TIMEOUT`], so a lost one does no harm.
    const KEEP_ALIVE: Duration = Duration::from_secs(3);
    /// In bytes: 32 packets of ordinary size, as some senders on the Internet start with, or seven large packets. quinn
    /// paces them. With quinn's default of 14,720 bytes, one MTU probe and one more large packet filled the window, and
    /// everything else had to wait, even the packet that closes the connection.
    const INITIAL_WINDOW: u64 = 32 * DEFAULT_UDP_PAYLOAD as u64;

    let mut config = quinn::TransportConfig::default();
    config
        .max_concurrent_bidi_streams(windows.peer_streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(initial_rtt)
        .stream_receive_window(windows.stream.into())
        .receive_window(windows.first.into())
        .send_window(send_buffer::MIN_SIZE) // follows the congestion window later
        .datagram_receive_buffer_size(None);
    congestion.configure(&mut config, INITIAL_WINDOW);
    let mut discovery = quinn::MtuDiscoveryConfig::default();
    discovery.upper_bound(max_udp_payload);
    config.mtu_discovery_config(Some(discovery));
    config
}
