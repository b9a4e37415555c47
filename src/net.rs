//! The line: sockets, TLS, trust in relays, and streams that fail loudly.
//!
//! Above this module nobody but the relay knows that the line is QUIC: [`transport`] has connections and stream halves
//! that a test can also make in memory.

pub mod endpoint;
pub mod tls;
pub mod transport;
pub mod trust;

pub use self::{
    endpoint::{Listener, connect, listen, local_addresses},
    tls::Identity,
    transport::{Connection, LineError, RecvHalf, SendHalf},
    trust::{Expect, KnownRelays, Verified},
};
