//! Where a receiver looks for its sender, for how long it retries, how fast it receives, and where it stores
//! resumptions.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    nearby::{AskError, Nearby, NearbySenders, ask},
    resumption_store::ResumptionStore,
};
use crate::{
    code::Slot,
    error::{Error, Kind, Result},
    net::{Dialer, RelayConnection},
    route::Route,
    sync::Mutex,
};

/// The configuration of a receiver's connections.
#[derive(Clone)]
pub struct ReconnectConfig {
    /// Connects to the configured relay, or to the one that a link names.
    pub relay: Option<Dialer>,
    /// Searches this machine and the local network.
    pub nearby: Option<Nearby>,
    /// How long to wait for a sender that has not started yet.
    pub wait: Option<Duration>,
    /// How long an outage may last. Zero disables retries.
    pub retry_for: Duration,
    /// The limit of the receive rate in bytes per second; `None` for no limit.
    pub rate_limit: Option<NonZeroU64>,
    /// The store of the credentials with which a later process resumes the download; `None` to store nothing.
    pub resumptions: Option<ResumptionStore>,
}

/// How long a search for the sender lasts after its connection is lost. Another one follows.
const FIND_TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest time between two lookups at the configured relay by a session that was found elsewhere. The relay
/// counts a lookup of a slot that it does not know, and allows few of them.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(20);

impl ReconnectConfig {
    /// Returns the dialer with which a session with the sender that has this slot reconnects. `route` is the route of
    /// its last stream.
    ///
    /// It connects to the configured relay if there is no other place to look. Otherwise it connects to the first relay
    /// that leads to the sender: the sender may have moved to another network, or the receiver may have left it.
    pub(super) fn dialer(&self, slot: Slot, route: &Arc<Mutex<Route>>) -> Dialer {
        let (relay, nearby) = match (self.relay.clone(), self.nearby.clone()) {
            (Some(relay), None) => return relay,
            places => places,
        };
        let finder = Arc::new(Finder { slot, relay, nearby, route: Arc::clone(route), last_lookup: Mutex::new(None) });
        Dialer::from_fn(move || {
            let finder = Arc::clone(&finder);
            async move { finder.find().await }
        })
    }
}

/// Finds the sender of a session again.
struct Finder {
    slot: Slot,
    relay: Option<Dialer>,
    nearby: Option<Nearby>,
    route: Arc<Mutex<Route>>,
    /// When the configured relay was last asked for the slot.
    last_lookup: Mutex<Option<Instant>>,
}

impl Finder {
    /// Connects to the first relay that leads to the sender.
    async fn find(&self) -> Result<RelayConnection> {
        let (at_relay, nearby) = (self.at_relay(), self.nearby());
        tokio::pin!(at_relay, nearby);
        tokio::select! {
            found = &mut at_relay => match found {
                Ok(connected) => Ok(connected),
                Err(e) => nearby.await.ok_or(e),
            },
            found = &mut nearby => match found {
                Some(connected) => Ok(connected),
                None => at_relay.await,
            },
        }
    }

    async fn nearby(&self) -> Option<RelayConnection> {
        let nearby = self.nearby.as_ref()?;
        NearbySenders::start(nearby, self.slot).until(Instant::now() + FIND_TIMEOUT).next().await
    }

    async fn at_relay(&self) -> Result<RelayConnection> {
        let not_found = || Error::new(Kind::Network, "the sender is not found on this machine or the local network");
        let relay = self.relay.clone().ok_or_else(not_found)?;
        if *self.route.lock() == Route::Relay {
            return relay.dial().await; // the pass of this relay makes a lookup unnecessary
        }
        if !self.may_look_up() {
            return Err(not_found());
        }
        ask(relay, self.slot).await.map_err(|e| match e {
            AskError::Dial(e) => e,
            AskError::Relay(e) => e.into(),
        })
    }

    /// Whether [`LOOKUP_INTERVAL`] has passed since the last lookup. If so, the next one is counted.
    fn may_look_up(&self) -> bool {
        let (mut last, now) = (self.last_lookup.lock(), Instant::now());
        let may = last.is_none_or(|last| now - last >= LOOKUP_INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }
}
