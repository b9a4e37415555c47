//! A client's connection to a relay.

use std::time::Duration;

use tokio::time::timeout;

use super::{connection::Connection, socket_buffers::ClampedBuffers, trust::VerifiedRelay};
use crate::code::RelayAddr;

/// A client's connection to a relay whose identity was verified.
#[derive(Debug)]
pub struct RelayConnection {
    /// The connection.
    pub connection: Connection,
    /// How the relay was verified.
    pub verified: VerifiedRelay,
    /// The address that answered, out of those passed to [`connect()`](super::connect()).
    pub relay: RelayAddr,
    pub(super) clamped_buffers: Option<ClampedBuffers>,
    /// Keeps the socket open.
    pub(super) endpoint: quinn::Endpoint,
}

impl RelayConnection {
    /// The socket's buffers, if they are smaller than requested. `None` for a relay on this machine.
    pub fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped_buffers
    }

    /// Closes the connection, and waits until the packet that notifies the peer has left.
    pub async fn close(self) {
        /// The endpoint drains for three probe timeouts, but the packet leaves at once. If it is lost, the peer's idle
        /// timeout ends the connection.
        const CLOSE_PACKET_LINGER: Duration = Duration::from_millis(20);
        self.connection.close();
        let _ = timeout(CLOSE_PACKET_LINGER, self.endpoint.wait_idle()).await; // usually times out: it still drains
    }
}
