//! A sender's place at its relay, and how it gets it back.

use tokio::time::timeout;

use crate::transfer::relay_request::ask;
use crate::transfer::timeouts::SHARE_CLOSE;
use crate::{
    code::{Code, Slot},
    crypto::ShareKey,
    error::Result,
    event::Event,
    net::{Connection, Dialer, RecvHalf, SendHalf},
    wire::relay::{RegisterReply, RegisterRequest},
};

/// A slot at a relay, held by the stream that asked for it.
pub struct Registration {
    pub(crate) connection: Connection,
    send: SendHalf,
    /// Kept open: the relay frees the slot when it ends.
    recv: RecvHalf,
    slot: Slot,
    ticket: Vec<u8>,
}

impl Registration {
    /// Asks a relay for a slot, with a ticket for that of an earlier registration.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind::Refused) where the relay says no, [`Kind::Network`](crate::error::Kind::Network)
    /// where it does not answer.
    pub async fn request(connection: Connection, token: Option<Vec<u8>>, ticket: Option<Vec<u8>>) -> Result<Self> {
        let (send, recv, RegisterReply { slot, ticket, .. }) =
            ask(&connection, &RegisterRequest { token, ticket }, &[]).await?;
        Ok(Self { connection, send, recv, slot, ticket })
    }

    /// The slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// What takes the slot back; empty where the relay gives no such thing.
    pub fn ticket(&self) -> &[u8] {
        &self.ticket
    }

    /// Gives the slot back: receivers that come back are told that the share has ended. What runs goes on.
    pub async fn release(&mut self) {
        self.send.finish();
        let _ = timeout(SHARE_CLOSE, self.recv.read()).await;
    }
}

/// Hears of a code, of the key that belongs to it, and of a ticket, and says what to report.
pub type OnRegistered = Box<dyn Fn(&Code, &ShareKey, &[u8]) -> Vec<Event> + Send + Sync>;

/// How a share comes back to its relay.
pub struct ReregisterConfig {
    /// Makes a connection to it.
    pub dialer: Dialer,
    /// What the relay asks for before it gives a slot.
    pub token: Option<Vec<u8>>,
    /// Hears of each registration, with the code that is good from then on and the ticket, and says what to report.
    pub on_registered: OnRegistered,
}
