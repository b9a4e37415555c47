//! The registration of a share at its relay.

use tokio::time::{Instant, sleep};

use crate::{
    code::Slot,
    error::{Error, Result},
    event::{Event, Events},
    net::{Connection, RecvHalf, SendHalf, wait_on_peer},
    text::count,
    transfer::{
        relay_request::{RequestError, send_relay_request},
        timeouts::{LIMIT_PATIENCE, SHARE_CLOSE_TIMEOUT},
    },
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
        Ok(Self::try_request(&connection, &RegisterRequest { token, ticket }).await?)
    }

    /// Requests a slot as [`Registration::request`] does. If a limit of the relay refuses the request for a short time,
    /// reports the refusal to `events` and retries.
    ///
    /// # Errors
    /// The errors of [`Registration::request`].
    pub async fn request_patiently(connection: Connection, ticket: Option<Vec<u8>>, events: &Events) -> Result<Self> {
        let (request, deadline) = (RegisterRequest { token: None, ticket }, Instant::now() + LIMIT_PATIENCE);
        loop {
            let refused = match Self::try_request(&connection, &request).await {
                Ok(registration) => return Ok(registration),
                Err(e) => e,
            };
            let wait = refused.limit_wait().filter(|wait| Instant::now() + *wait < deadline);
            let e = Error::from(refused);
            let Some(wait) = wait else { return Err(e) };
            let message = format!("{}; trying again in {}", e.message(), count(wait.as_secs(), "second"));
            events.report(Event::Warning { kind: "limit", message, hint: None });
            sleep(wait).await;
        }
    }

    /// Makes one request for a slot.
    pub(super) async fn try_request(connection: &Connection, request: &RegisterRequest) -> Result<Self, RequestError> {
        let (send, recv, RegisterReply { slot, ticket, .. }) = send_relay_request(connection, request, &[]).await?;
        Ok(Self { connection: connection.clone(), send, recv, slot, ticket })
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
        let _ = wait_on_peer(SHARE_CLOSE_TIMEOUT, [], self.recv.read()).await;
    }
}
