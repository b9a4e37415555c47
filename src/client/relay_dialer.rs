//! The dialer of a relay: it verifies the relay's identity, stores new pins, and warns the user where needed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::udp_buffers;
use crate::{
    background::with_background,
    code::{RelayAddr, RelaySpec},
    error::{Kind, Result},
    event::{Event, Events},
    net::{self, Dialer, KnownRelays, RelayConnection, TransportOptions, VerifiedBy},
    state::StateAccess,
};

/// The first dial reports that it is connecting if the relay has not answered after this time.
const SLOW_DIAL: Duration = Duration::from_millis(1_500);

/// Who named a relay. It decides what its pin may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The user, on the command line or in the configuration. The pin replaces a stored one.
    User,
    /// A link, or another share on this machine. The pin changes nothing that is stored.
    Link,
}

/// Returns a dialer for the relay `spec`, which is reachable at one of `addresses`.
pub(crate) fn relay_dialer(
    state: &StateAccess,
    addresses: Vec<RelayAddr>,
    (spec, named_by): (&RelaySpec, NamedBy),
    transport: TransportOptions,
    events: &Events,
) -> Dialer {
    let target = Arc::new(DialTarget {
        state: state.clone(),
        addresses,
        spec: spec.clone(),
        named_by,
        transport,
        events: events.clone(),
        was_dialed: AtomicBool::new(false),
    });
    Dialer::from_fn(move || {
        let target = Arc::clone(&target);
        async move { target.dial().await }
    })
}

/// The relay that a dialer connects to, and the state that all dials share.
struct DialTarget {
    state: StateAccess,
    addresses: Vec<RelayAddr>,
    spec: RelaySpec,
    named_by: NamedBy,
    transport: TransportOptions,
    events: Events,
    was_dialed: AtomicBool,
}

impl DialTarget {
    async fn dial(&self) -> Result<RelayConnection> {
        let is_first = !self.was_dialed.swap(true, Ordering::Relaxed);
        let known = KnownRelays::new(self.state.readable().cloned());
        let trust = known.trust_policy(&self.spec)?;
        let slow_dial_report = async {
            if is_first {
                sleep(SLOW_DIAL).await;
                self.events.report(Event::Connecting { relay: self.spec.addr.to_string() });
            }
        };
        let connecting =
            with_background(net::connect(&self.addresses, trust, self.transport.clone()), slow_dial_report);
        let connected = connecting.await.map_err(|e| match (e.kind(), self.named_by) {
            (Kind::Network, NamedBy::Link) => {
                e.hint("the sender may have stopped sharing; otherwise, check your network")
            }
            _ => e,
        })?;
        let stored = match (connected.verified.by, self.named_by) {
            (VerifiedBy::Pin, NamedBy::User) => known.replace(&connected.relay, connected.verified.pin),
            _ => known.remember(&connected.relay, &connected.verified),
        };
        if connected.verified.by == VerifiedBy::FirstContact {
            self.events.report(first_contact(&self.spec, &connected, stored.is_ok()));
        } else if let (Err(e), Some(_)) = (&stored, self.state.writable()) {
            self.events.report(Event::warning("state", e.message().to_owned(), e));
        }
        udp_buffers::warn_once(self.state.writable(), connected.clamped_buffers(), &self.events);
        Ok(connected)
    }
}

fn first_contact(spec: &RelaySpec, connected: &RelayConnection, is_stored: bool) -> Event {
    let hint = if is_stored {
        "the pin is now stored; check that it is the one the relay's operator publishes".to_owned()
    } else {
        format!("the pin cannot be stored; to check the relay next time, pass --relay {}#PIN", spec.addr)
    };
    Event::Warning {
        kind: "first_contact",
        message: format!("first connection to relay {}; its pin is {}", spec.addr, connected.verified.pin),
        hint: Some(hint),
    }
}
