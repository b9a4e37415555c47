//! The line: sockets, TLS, trust in relays, and streams that fail loudly.
//!
//! Above this module nobody but the relay knows that the line is QUIC: [`transport`] has connections and stream halves
//! that a test can also make in memory.

mod backlog;
mod buffer_pool;
pub mod congestion;
pub mod endpoint;
mod reassembly;
mod route;
pub mod socket;
mod stream_error;
pub mod tls;
pub mod transport;
mod transport_config;
pub mod trust;

pub use self::{
    buffer_pool::{BufferPool, PooledBuffer},
    congestion::CongestionControl,
    endpoint::{Dialer, Listener, RelayConnection, connect, connect_over, listen, listen_on, local_addresses},
    socket::{ClampedBuffers, Socket},
    stream_error::{ConnectionLost, StreamError},
    tls::RelayIdentity,
    transport::{Connection, OwnedFrame, RecvHalf, SendHalf, duplex},
    transport_config::TransportOptions,
    trust::{KnownRelays, TrustPolicy, VerifiedBy, VerifiedRelay},
};
