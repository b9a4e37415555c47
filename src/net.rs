//! QUIC connections to and from a relay: sockets, TLS, trust, streams and congestion control.
//!
//! A client calls [`connect()`], a relay calls [`listen`]; both then exchange streams over a [`Connection`]. A stream
//! is a [`SendHalf`] and a [`RecvHalf`]. A share and the relay in its process exchange streams over a connection in
//! memory ([`Connection::in_memory`]). [`duplex()`] creates a single stream in memory, so the layers above need no
//! network in tests. Outside this module, only the relay uses QUIC types.

mod ack_frequency;
mod amplification_guard;
mod buffer_pool;
pub mod congestion;
mod connect;
mod connection;
mod connection_ids;
mod connection_lost;
mod dialer;
mod direct_route;
mod duplex;
mod endpoint;
mod filtered_socket;
mod initial_rtt;
mod interfaces;
mod known_relays;
mod lan;
mod listener;
mod local_addresses;
mod memory_connection;
mod memory_stream;
mod owned_frame;
mod path_mtu;
mod peer_wait;
mod prefix;
mod quic_connection;
mod quiet_copies;
mod reassembly;
mod recv_half;
mod relay_connection;
mod relay_errors;
mod resolve;
mod send_buffer;
mod send_half;
mod socket;
mod socket_buffers;
mod stream_error;
mod tls;
mod transport_config;
mod trust;
mod unreachable;

pub use self::{
    buffer_pool::{BufferPool, PooledBuffer},
    congestion::CongestionControl,
    connect::{connect, connect_nearby, connect_over, udp_buffers},
    connection::Connection,
    connection_lost::ConnectionLost,
    dialer::Dialer,
    direct_route::direct_route,
    duplex::duplex,
    known_relays::KnownRelays,
    lan::{LanAnnouncement, LanReach, LanSearch},
    listener::{Listener, listen, listen_on},
    local_addresses::local_addresses,
    owned_frame::OwnedFrame,
    peer_wait::{PeerWaitError, wait_on_peer},
    recv_half::RecvHalf,
    relay_connection::RelayConnection,
    send_half::SendHalf,
    socket::Socket,
    socket_buffers::ClampedBuffers,
    stream_error::StreamError,
    tls::RelayIdentity,
    transport_config::{ClientRole, TransportOptions},
    trust::{TrustPolicy, VerifiedBy, VerifiedRelay},
    unreachable::may_listen,
};
