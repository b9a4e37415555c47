//! The race for a session: relays on this machine, on the local network and far away, beside each other.
//!
//! Key exchanges start in the order in which the relays answer. Each of them costs the sender an attempt until it is
//! confirmed, and gives a hostile relay one guess of the code, so the next one starts only when the running one has
//! failed or has taken [`HEAD_START`], and a race starts at most [`MAX_EXCHANGES`]. Relays at one address take turns
//! with the others, so a host that answers for everyone delays the right relay by one exchange.

use std::{collections::HashMap, net::IpAddr, pin::Pin, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::{
    key_exchange::{Confirmed, Credentials, Exchange, confirm},
    leftovers::Leftovers,
    nearby::{FoundRelay, NearbySenders},
    open_session_error::OpenSessionError,
};

/// The head start of a key exchange over the next one.
const HEAD_START: Duration = Duration::from_millis(300);

/// The maximum number of key exchanges.
const MAX_EXCHANGES: u32 = 8;

/// How long the search nearby continues after the configured relay has won. The session moves to a relay nearby.
const IMPROVE_PERIOD: Duration = Duration::from_secs(3);

/// Connects to the configured relay.
pub(super) type RelayAnswer<'a> = Pin<Box<dyn Future<Output = Result<FoundRelay, OpenSessionError>> + Send + 'a>>;

/// A session that both ends have confirmed, and what remains of the race for it.
pub(super) struct Winner {
    pub(super) found: FoundRelay,
    pub(super) confirmed: Confirmed,
    pub(super) leftovers: Leftovers,
}

/// A race for a session.
pub(super) struct Race {
    credentials: Credentials,
    nearby: Option<NearbySenders>,
    /// Relays that have answered.
    answered: Vec<FoundRelay>,
    exchanges: JoinSet<Exchange>,
    started: u32,
    /// The number of exchanges with each address.
    by_address: HashMap<IpAddr, u32>,
    /// The earliest end of the search nearby.
    patience: Instant,
    /// When the next exchange may start beside a running one.
    next_start: Instant,
    /// The error of the relay that got furthest.
    error: Option<OpenSessionError>,
}

impl Race {
    /// Prepares a race of the relays that `nearby` finds, at least until `patience`.
    pub(super) fn new(credentials: Credentials, nearby: Option<NearbySenders>, patience: Instant) -> Self {
        Self {
            credentials,
            nearby,
            answered: Vec::new(),
            exchanges: JoinSet::new(),
            started: 0,
            by_address: HashMap::new(),
            patience,
            next_start: Instant::now(),
            error: None,
        }
    }

    /// Runs the race. `relay` connects to the configured relay.
    ///
    /// # Errors
    /// The error of the relay that got furthest; [`OpenSessionError::NothingFound`] if no relay was found.
    pub(super) async fn run(mut self, mut relay: Option<RelayAnswer<'_>>) -> Result<Winner, OpenSessionError> {
        loop {
            self.start_exchanges();
            let is_spent = self.started == MAX_EXCHANGES || (relay.is_none() && self.nearby.is_none());
            if is_spent && self.exchanges.is_empty() {
                return Err(self.error.unwrap_or(OpenSessionError::NothingFound));
            }
            tokio::select! {
                biased;
                Some(ended) = self.exchanges.join_next() => match ended {
                    Ok(Ok((found, confirmed))) => return Ok(self.end(found, confirmed)),
                    Ok(Err(e)) => {
                        debug!("a key exchange has failed: {e:?}");
                        self.note_error(e);
                        self.next_start = Instant::now();
                    }
                    Err(_) => {} // the task has panicked, which the panic hook has reported
                },
                answer = poll_relay(&mut relay) => {
                    relay = None;
                    match answer {
                        Ok(found) => self.answered.push(found),
                        Err(e) => self.note_error(e),
                    }
                }
                found = poll_nearby(&mut self.nearby) => match found {
                    Some(connected) => self.answered.push(FoundRelay { connected, is_nearby: true }),
                    None => self.nearby = None,
                },
                () = sleep_until(self.patience), if relay.is_none() && self.nearby.is_some() => self.nearby = None,
                () = sleep_until(self.next_start), if self.has_next() => {}
            }
        }
    }

    /// Starts the exchange that is due. Two sessions of one resumption would end each other, so such exchanges do not
    /// overlap.
    fn start_exchanges(&mut self) {
        let may_overlap = !self.credentials.is_resumption() && Instant::now() >= self.next_start;
        if self.started == MAX_EXCHANGES || !(self.exchanges.is_empty() || may_overlap) {
            return;
        }
        let exchanges_with = |found: &FoundRelay| self.by_address.get(&found.address()).copied().unwrap_or_default();
        let next = self.answered.iter().enumerate().min_by_key(|(order, found)| (exchanges_with(found), *order));
        let Some((index, _)) = next else { return };
        let found = self.answered.remove(index);
        *self.by_address.entry(found.address()).or_default() += 1;
        self.started += 1;
        self.next_start = Instant::now() + HEAD_START;
        let credentials = self.credentials.clone();
        self.exchanges.spawn(async move {
            match confirm(&found.connected.connection, &credentials).await {
                Ok(confirmed) => Ok((found, confirmed)),
                Err(e) => {
                    found.connected.close().await; // a sender waits for the receiver until it learns of the close
                    Err(e)
                }
            }
        });
    }

    /// Whether an exchange may start beside the running one once its head start is over.
    fn has_next(&self) -> bool {
        !self.answered.is_empty() && self.started < MAX_EXCHANGES && !self.credentials.is_resumption()
    }

    fn note_error(&mut self, e: OpenSessionError) {
        if self.error.as_ref().is_none_or(|noted| e.stage() > noted.stage()) {
            self.error = Some(e);
        }
    }

    fn end(self, found: FoundRelay, confirmed: Confirmed) -> Winner {
        let deadline = self.patience.max(Instant::now() + IMPROVE_PERIOD);
        let nearby = self.nearby.filter(|_| !found.is_nearby).map(|nearby| nearby.until(deadline));
        let leftovers = Leftovers::spawn(self.exchanges, self.answered, nearby);
        Winner { found, confirmed, leftovers }
    }
}

/// Polls the connection to the configured relay, if it is not decided yet.
async fn poll_relay(relay: &mut Option<RelayAnswer<'_>>) -> Result<FoundRelay, OpenSessionError> {
    match relay {
        Some(relay) => relay.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Polls the search nearby, if it has not ended.
async fn poll_nearby(nearby: &mut Option<NearbySenders>) -> Option<crate::net::RelayConnection> {
    match nearby {
        Some(nearby) => nearby.next().await,
        None => std::future::pending().await,
    }
}
