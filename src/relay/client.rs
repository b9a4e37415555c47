//! A connected client: the usage of its connection, and whether the connection is still in use.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{refusal::Refusal, source::Source};
use crate::{net::Connection, wire::relay_limit::RelayLimit};

/// A client's connection. Each clone is one use of it: a stream that is being served, a registered slot, or a bridge
/// to the client, which may outlive the slot.
#[derive(Clone)]
pub(super) struct Client {
    connection: Connection,
    address: IpAddr,
    uses: Arc<ClientUse>,
}

/// The usage of one client.
#[derive(Default)]
struct ClientUse {
    slots: AtomicU32,
    registrations: AtomicU32,
    offences: AtomicU32,
}

impl Client {
    /// Creates the client of a new connection. `address` is the one that completed the handshake. The current address
    /// of the peer may be anyone's: QUIC follows a packet from another address before it is proven (RFC 9000 section
    /// 9).
    pub(super) fn new(connection: Connection, address: IpAddr) -> Self {
        Self { connection, address: address.to_canonical(), uses: Arc::default() }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the address from which the latest packets came. Only the client itself may learn it, and nothing may
    /// depend on it.
    pub(super) fn present_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    pub(super) fn source(&self) -> Source {
        Source::from(self.address)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether this is the only clone: no stream, slot or bridge uses the connection.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.uses) == 1
    }

    /// Counts a registration. A connection allows `limit` of them.
    ///
    /// # Errors
    /// [`Refusal`] if the limit is reached. Another connection may register at once.
    pub(super) fn count_registration(&self, limit: u32) -> Result<(), Refusal> {
        let refusal = Refusal { limit: RelayLimit::RegistrationsPerConnection, retry_after: 1 };
        if self.uses.registrations.fetch_add(1, Ordering::Relaxed) < limit { Ok(()) } else { Err(refusal) }
    }

    /// Counts a slot of this connection until the result is dropped. A connection may hold `limit` of them.
    ///
    /// # Errors
    /// [`Refusal`] if the limit is reached.
    pub(super) fn hold_slot(&self, limit: u32) -> Result<ConnectionSlot, Refusal> {
        let refusal = Refusal { limit: RelayLimit::SlotsPerConnection, retry_after: 1 };
        let held = ConnectionSlot(Arc::clone(&self.uses));
        if self.uses.slots.fetch_add(1, Ordering::Relaxed) < limit { Ok(held) } else { Err(refusal) }
    }

    /// Counts a request that was refused or malformed. Closes the connection after too many, because an honest client
    /// waits after a refusal. A new connection has to pass the limits again.
    pub(super) fn note_offence(&self) {
        const MAX_OFFENCES: u32 = 16;
        if self.uses.offences.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_OFFENCES {
            self.connection.close();
        }
    }
}

/// A slot that a connection holds until this is dropped.
pub(super) struct ConnectionSlot(Arc<ClientUse>);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.slots.fetch_sub(1, Ordering::Relaxed);
    }
}
