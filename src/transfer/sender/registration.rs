//! The registration of a share at its relay.

use tokio::time::timeout;

use crate::{
    code::Slot,
    error::Result,
    net::{Connection, RecvHalf, SendHalf},
    transfer::{relay_request::send_relay_request, timeouts::SHARE_CLOSE_TIMEOUT},
    wire::relay::{RegisterReply, RegisterRequest},
};

/// A slot at a relay. The relay frees the slot when the stream of the registration ends.
pub struct Registration {
    pub(crate) connection: Connection,
    send: SendHalf,
    recv: RecvHalf,
    slot: Slot,
    ticket: Vec<u8>,
}

impl Registration {
    /// Requests a slot from the relay. A ticket of an earlier registration claims the slot of that registration.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind::Refused) if the relay refuses;
    /// [`Kind::Network`](crate::error::Kind::Network) if it does not answer.
    pub async fn request(connection: Connection, token: Option<Vec<u8>>, ticket: Option<Vec<u8>>) -> Result<Self> {
        let request = RegisterRequest { token, ticket };
        let (send, recv, RegisterReply { slot, ticket, .. }) = send_relay_request(&connection, &request, &[]).await?;
        Ok(Self { connection, send, recv, slot, ticket })
    }

    /// Returns the slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns the ticket that claims the slot after a reconnect; empty if the relay issues no tickets.
    pub fn ticket(&self) -> &[u8] {
        &self.ticket
    }

    /// Releases the slot. From then on the relay refuses new receivers; running downloads continue.
    pub async fn release(&mut self) {
        self.send.finish();
        // A relay that does not confirm in time frees the slot later.
        let _ = timeout(SHARE_CLOSE_TIMEOUT, self.recv.read()).await;
    }
}
