//! The line: sockets, TLS, trust in relays, and streams that fail loudly.
//!
//! Above this module nobody but the relay knows that the line is QUIC: [`transport`] has connections and stream halves
//! that a test can also make in memory.

mod backlog;
mod buffers;
pub mod congestion;
pub mod endpoint;
mod line;
mod reassembly;
mod route;
pub mod socket;
pub mod tls;
pub mod transport;
pub mod trust;
mod tuning;

pub use self::{
    buffers::{Buffer, Buffers},
    congestion::Congestion,
    endpoint::{Dialer, Listener, connect, connect_over, listen, listen_on, local_addresses},
    line::{LineError, Lost},
    socket::{Clamped, Socket},
    tls::Identity,
    transport::{Connection, RecvHalf, SendHalf},
    trust::{Expect, KnownRelays, Verified},
    tuning::Tuning,
};
