//! The relay of a share: a configured one, or an embedded one.

use super::warnings;
use crate::{
    cli::{
        embedded_relay::EmbeddedRelay,
        relay_dialer::{NamedBy, relay_dialer},
        running_shares::RunningShare,
        udp_buffers,
    },
    code::{Code, Link, Pin, RelayAddr, RelaySpec},
    error::Result,
    event::Events,
    net::{self, Dialer, RelayConnection, TransportOptions, VerifiedBy},
    state::{StateAccess, StateDir},
    transfer::Registration,
};

/// The relay of a share.
pub(super) enum ShareRelay {
    /// A configured relay, and the connection to it.
    Configured { connected: RelayConnection, dialer: Dialer, spec: RelaySpec },
    /// A relay in this process.
    Embedded(EmbeddedRelay),
}

impl ShareRelay {
    /// Connects to the configured relay. Without one, starts an embedded relay, preferably on `port`.
    pub(super) async fn open(
        state: &StateAccess,
        configured: Option<RelaySpec>,
        port: Option<u16>,
        transport: TransportOptions,
        events: &Events,
    ) -> Result<Self> {
        if let Some(spec) = configured {
            let dialer = relay_dialer(state, vec![spec.addr.clone()], (&spec, NamedBy::User), transport, events);
            let connected = dialer.dial().await?;
            return Ok(Self::Configured { connected, dialer, spec });
        }
        let embedded = EmbeddedRelay::start(state.writable(), port, transport)?;
        udp_buffers::warn_once(state.writable(), embedded.clamped_buffers(), events);
        if net::local_addresses().is_empty() {
            events.report(warnings::no_network());
        }
        Ok(Self::Embedded(embedded))
    }

    /// Requests a slot: the slot of `ticket`, or a new one if there is no ticket.
    pub(super) async fn request_slot(&self, ticket: Option<Vec<u8>>, events: &Events) -> Result<Registration> {
        let connection = match self {
            Self::Configured { connected, .. } => connected.connection.clone(),
            Self::Embedded(relay) => relay.connection(),
        };
        Registration::request_patiently(connection, ticket, events).await
    }

    /// Returns how to connect again to a configured relay. An embedded relay ends only with its process.
    pub(super) fn dialer(&self) -> Option<Dialer> {
        match self {
            Self::Configured { dialer, .. } => Some(dialer.clone()),
            Self::Embedded(_) => None,
        }
    }

    fn embedded(&self) -> Option<&EmbeddedRelay> {
        match self {
            Self::Configured { .. } => None,
            Self::Embedded(relay) => Some(relay),
        }
    }

    pub(super) fn embedded_port(&self) -> Option<u16> {
        self.embedded().map(EmbeddedRelay::port)
    }

    /// Publishes an embedded relay's address on this machine, so that the bare code works on it.
    pub(super) fn publish(&self, state: Option<&StateDir>, code: &Code) -> Result<Option<RunningShare>> {
        let published = self.embedded().zip(state);
        let publish =
            |(relay, state): (&EmbeddedRelay, _)| RunningShare::publish(state, code.slot(), &relay.loopback_address());
        published.map(publish).transpose()
    }

    /// Returns the pin of the relay's key, unless a public authority has certified the relay.
    pub(super) fn pin(&self) -> Option<Pin> {
        match self {
            Self::Configured { connected: RelayConnection { verified, .. }, .. } => {
                (verified.by != VerifiedBy::Authority).then_some(verified.pin)
            }
            Self::Embedded(relay) => Some(relay.pin()),
        }
    }

    pub(super) fn link_template(&self) -> LinkTemplate {
        let mut addresses = match self {
            Self::Configured { spec, .. } => vec![spec.addr.clone()],
            Self::Embedded(relay) => relay.lan_addresses(),
        };
        let relay = addresses.remove(0);
        LinkTemplate { relay, alternatives: addresses, pin: self.pin() }
    }

    /// Closes the connection and stops an embedded relay.
    pub(super) async fn close(self) {
        match self {
            Self::Configured { connected, .. } => connected.close().await,
            Self::Embedded(relay) => relay.stop().await,
        }
    }
}

/// The parts of a link that do not depend on the code.
pub(super) struct LinkTemplate {
    relay: RelayAddr,
    alternatives: Vec<RelayAddr>,
    pin: Option<Pin>,
}

impl LinkTemplate {
    /// Returns the link of a code.
    pub(super) fn link(&self, code: &Code) -> Link {
        let Self { relay, alternatives, pin } = self;
        Link { relay: relay.clone(), alternatives: alternatives.clone(), code: code.clone(), pin: *pin }
    }
}
