//! The relays of a share: a configured one, and the embedded one for receivers nearby.

use super::{
    embedded_relay::EmbeddedRelay,
    relay_dialer::{NamedBy, relay_dialer},
    running_shares::RunningShare,
    udp_buffers, warnings,
};
use crate::{
    code::{Code, Link, Pin, RelayAddr, RelaySpec},
    error::Result,
    event::{Event, Events},
    net::{self, Dialer, LanAnnouncement, LanReach, RelayConnection, TransportOptions, VerifiedBy},
    state::{StateAccess, StateDir},
    transfer::{NearbyRelay, Registration},
};

/// The relays of a share. The main one assigns the slot.
pub(crate) struct ShareRelay {
    main: MainRelay,
    /// The embedded relay beside a configured one.
    nearby: Option<EmbeddedRelay>,
    /// How the embedded relay is announced on the local network.
    lan: Option<LanReach>,
}

/// The relay that assigns the slot.
enum MainRelay {
    /// A configured relay, and the connection to it.
    Configured { connected: RelayConnection, dialer: Dialer, spec: RelaySpec },
    /// A relay in this process.
    Embedded(EmbeddedRelay),
}

/// Makes a share known to receivers nearby until it ends.
#[derive(Default)]
pub(crate) struct PublishedShare {
    /// Lets the bare code work for the same user, on any port.
    _running: Option<RunningShare>,
    announcement: Option<LanAnnouncement>,
}

impl PublishedShare {
    /// Ends the announcement.
    pub(crate) async fn end(self) {
        if let Some(announcement) = self.announcement {
            announcement.stop().await;
        }
    }
}

impl ShareRelay {
    /// Connects to the configured relay, and starts an embedded relay, preferably on `port`. Beside a configured relay,
    /// the embedded one serves the local network, so it is not started if that is switched off.
    pub(crate) async fn open(
        state: &StateAccess,
        configured: Option<RelaySpec>,
        (port, lan): (Option<u16>, Option<LanReach>),
        transport: TransportOptions,
        events: &Events,
    ) -> Result<Self> {
        let start_embedded = |transport| EmbeddedRelay::start(state.writable(), port, transport);
        if let Some(spec) = configured {
            let dialer =
                relay_dialer(state, vec![spec.addr.clone()], (&spec, NamedBy::User), transport.clone(), events);
            let connected = dialer.dial().await?;
            let nearby = match lan.map(|_| start_embedded(transport)).transpose() {
                Ok(nearby) => nearby,
                Err(e) => {
                    events.report(Event::warning("lan", format!("not reachable nearby: {}", e.message()), &e));
                    None
                }
            };
            return Ok(Self { main: MainRelay::Configured { connected, dialer, spec }, nearby, lan });
        }
        let embedded = start_embedded(transport)?;
        udp_buffers::warn_once(state.writable(), embedded.clamped_buffers(), events);
        if net::local_addresses().is_empty() {
            events.report(warnings::no_network());
        }
        Ok(Self { main: MainRelay::Embedded(embedded), nearby: None, lan })
    }

    /// Requests a slot from the main relay: the slot of `ticket`, or a new one if there is no ticket.
    pub(crate) async fn request_slot(&self, ticket: Option<Vec<u8>>, events: &Events) -> Result<Registration> {
        let connection = match &self.main {
            MainRelay::Configured { connected, .. } => connected.connection.clone(),
            MainRelay::Embedded(relay) => relay.connection(),
        };
        Registration::request_patiently(connection, ticket, events).await
    }

    /// Returns how to connect again to a configured relay. An embedded relay ends only with its process.
    pub(crate) fn dialer(&self) -> Option<Dialer> {
        match &self.main {
            MainRelay::Configured { dialer, .. } => Some(dialer.clone()),
            MainRelay::Embedded(_) => None,
        }
    }

    /// Returns the embedded relay beside a configured one.
    pub(crate) fn nearby(&self) -> Option<NearbyRelay> {
        self.nearby.as_ref().map(|relay| {
            let ticket_key = relay.ticket_key();
            let issue_ticket = Box::new(move |slot| ticket_key.issue_own_ticket(slot));
            NearbyRelay { connection: relay.connection(), issue_ticket }
        })
    }

    /// Returns the port of the embedded relay if it is the main relay.
    pub(crate) fn embedded_port(&self) -> Option<u16> {
        match &self.main {
            MainRelay::Configured { .. } => None,
            MainRelay::Embedded(relay) => Some(relay.port()),
        }
    }

    /// Whether receivers on the local network find the share by its code.
    pub(crate) fn is_announced(&self) -> bool {
        self.lan.is_some() && self.embedded().is_some()
    }

    fn embedded(&self) -> Option<&EmbeddedRelay> {
        match &self.main {
            MainRelay::Configured { .. } => self.nearby.as_ref(),
            MainRelay::Embedded(relay) => Some(relay),
        }
    }

    /// Publishes the embedded relay on this machine and on the local network, so that the bare code works there. A
    /// failure on the network is a warning: links still work.
    pub(crate) fn publish(&self, state: Option<&StateDir>, code: &Code, events: &Events) -> Result<PublishedShare> {
        let Some(relay) = self.embedded() else { return Ok(PublishedShare::default()) };
        let publish = |state| RunningShare::publish(state, code.slot(), &relay.loopback_address());
        let running = state.map(publish).transpose()?;
        let announcement = match self.lan.map(|lan| LanAnnouncement::start(relay.port(), lan)).transpose() {
            Ok(announcement) => announcement,
            Err(e) => {
                events.report(Event::warning("lan", e.message().to_owned(), &e));
                None
            }
        };
        Ok(PublishedShare { _running: running, announcement })
    }

    /// Returns the pin of the main relay's key, unless a public authority has certified the relay.
    pub(crate) fn pin(&self) -> Option<Pin> {
        match &self.main {
            MainRelay::Configured { connected: RelayConnection { verified, .. }, .. } => {
                (verified.by != VerifiedBy::Authority).then_some(verified.pin)
            }
            MainRelay::Embedded(relay) => Some(relay.pin()),
        }
    }

    pub(crate) fn link_template(&self) -> LinkTemplate {
        let mut addresses = match &self.main {
            MainRelay::Configured { spec, .. } => vec![spec.addr.clone()],
            MainRelay::Embedded(relay) => relay.lan_addresses(),
        };
        let relay = addresses.remove(0);
        LinkTemplate { relay, alternatives: addresses, pin: self.pin() }
    }

    /// Closes the connection and stops the embedded relay.
    pub(crate) async fn close(self) {
        let nearby = async {
            if let Some(relay) = self.nearby {
                relay.stop().await;
            }
        };
        let main = async {
            match self.main {
                MainRelay::Configured { connected, .. } => connected.close().await,
                MainRelay::Embedded(relay) => relay.stop().await,
            }
        };
        tokio::join!(main, nearby);
    }
}

/// The parts of a link that do not depend on the code.
pub(crate) struct LinkTemplate {
    relay: RelayAddr,
    alternatives: Vec<RelayAddr>,
    pin: Option<Pin>,
}

impl LinkTemplate {
    /// Returns the link of a code.
    pub(crate) fn link(&self, code: &Code) -> Link {
        let Self { relay, alternatives, pin } = self;
        Link { relay: relay.clone(), alternatives: alternatives.clone(), code: code.clone(), pin: *pin }
    }
}
