//! The line: sockets, TLS, trust in relays, and streams that fail loudly.
//!
//! Above this module nobody but the relay knows that the line is QUIC: [`transport`] has connections and stream halves
//! that a test can also make in memory.

mod backlog;
mod buffers;
pub mod congestion;
pub mod endpoint;
mod reassembly;
mod route;
pub mod socket;
mod stream_error;
pub mod tls;
pub mod transport;
pub mod trust;
mod tuning;

pub use self::{
    buffers::{Buffer, Buffers},
    congestion::CongestionControl,
    endpoint::{Dialer, Listener, connect, connect_over, listen, listen_on, local_addresses},
    socket::{ClampedBuffers, Socket},
    stream_error::{ConnectionLost, StreamError},
    tls::RelayIdentity,
    transport::{Connection, RecvHalf, SendHalf},
    trust::{KnownRelays, TrustPolicy, VerifiedRelay},
    tuning::Tuning,
};
