//! The search for a sender on this machine and on the local network.
//!
//! Relays nearby are asked for a slot before they get a key exchange: most of them belong to other senders.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, error::Elapsed, sleep_until, timeout},
};

use crate::{
    code::Slot,
    error::Error,
    net::{Connection, Dialer, RelayConnection},
    transfer::{
        relay_request::{RequestError, send_patient_request},
        timeouts::REPLY_TIMEOUT,
    },
    wire::relay::{LookupReply, LookupRequest},
};

/// How long a relay nearby may take to answer. On a network with loss, three packets of the handshake may be lost.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

/// Searches for relays on this machine and on the local network, any number of times. A handle: clones share it.
#[derive(Clone)]
pub struct Nearby(Arc<dyn Fn() -> NearbySearch + Send + Sync>);

impl Nearby {
    /// Creates a handle that starts a search with `search`.
    pub fn from_fn(search: impl Fn() -> NearbySearch + Send + Sync + 'static) -> Self {
        Self(Arc::new(search))
    }
}

/// A running search for relays on this machine and on the local network.
pub struct NearbySearch {
    /// A dialer for each relay that is found. It ends when no more can be found.
    pub found: mpsc::Receiver<Dialer>,
    /// The number of networks that are searched; `None` if only this machine is.
    pub networks: Option<usize>,
}

/// A relay that knows a sender with the slot, or may know one.
#[derive(Debug)]
pub(super) struct FoundRelay {
    pub(super) connected: RelayConnection,
    /// Whether it is on this machine or on the local network, and has confirmed that it knows the slot.
    pub(super) is_nearby: bool,
}

impl FoundRelay {
    /// Returns the configured relay, which has not been asked for the slot.
    pub(super) fn far(connected: RelayConnection) -> Self {
        Self { connected, is_nearby: false }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.connected.connection.remote_address().ip()
    }
}

/// The relays nearby that know a sender with a slot.
pub(super) struct NearbySenders {
    slot: Slot,
    search: NearbySearch,
    has_ended: bool,
    asks: JoinSet<Result<Result<RelayConnection, AskError>, Elapsed>>,
    /// When the search ends, if it ends before it has found everything.
    deadline: Option<Instant>,
}

impl NearbySenders {
    /// Starts to search for senders with this slot.
    pub(super) fn start(nearby: &Nearby, slot: Slot) -> Self {
        Self { slot, search: nearby.0(), has_ended: false, asks: JoinSet::new(), deadline: None }
    }

    /// Ends the search at `deadline`.
    #[must_use]
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The number of networks that are searched; `None` if only this machine is.
    pub(super) fn networks(&self) -> Option<usize> {
        self.search.networks
    }

    /// Returns the next relay that knows the slot. Returns `None` when no more can be found, or at the deadline.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Option<RelayConnection> {
        while !(self.has_ended && self.asks.is_empty()) {
            tokio::select! {
                found = self.search.found.recv(), if !self.has_ended => match found {
                    Some(dialer) => drop(self.asks.spawn(timeout(ASK_TIMEOUT, ask(dialer, self.slot)))),
                    None => self.has_ended = true,
                },
                Some(asked) = self.asks.join_next() => if let Ok(Ok(Ok(connected))) = asked {
                    return Some(connected);
                },
                () = sleep_until(self.deadline.unwrap_or_else(Instant::now)), if self.deadline.is_some() => return None,
            }
        }
        None
    }
}

/// Connects to a relay, and asks it for the slot.
pub(super) async fn ask(dialer: Dialer, slot: Slot) -> Result<RelayConnection, AskError> {
    let connected = dialer.dial().await.map_err(AskError::Dial)?;
    match look_up(&connected.connection, slot, Duration::ZERO).await {
        Ok(()) => Ok(connected),
        Err(e) => {
            connected.close().await;
            Err(AskError::Relay(e))
        }
    }
}

/// Asks a relay for a slot. The relay may wait for the sender for as long as `wait`.
pub(super) async fn look_up(connection: &Connection, slot: Slot, wait: Duration) -> Result<(), RequestError> {
    let request = LookupRequest { slot, wait: wait.as_secs() as u32 };
    let replied = send_patient_request(connection, &request, &[], wait + REPLY_TIMEOUT).await;
    replied.map(|(_, _, LookupReply)| ())
}

/// Why a relay does not lead to the sender.
#[derive(Debug)]
pub(super) enum AskError {
    /// There is no connection to it.
    Dial(Error),
    /// It does not know the slot, or refuses the request.
    Relay(RequestError),
}
