//! The relay of a share: a configured one, or an embedded one.

use crate::{
    cli::{
        embedded_relay::EmbeddedRelay,
        relay_dialer::{NamedBy, relay_dialer},
        running_shares::RunningShare,
        udp_buffers,
    },
    code::{Code, Link, Pin, RelayAddr, RelaySpec},
    error::Result,
    net::{Dialer, RelayConnection, TransportOptions, TrustPolicy, VerifiedBy},
    state::StateDir,
    transfer::{Events, Registration},
};

/// The relay of a share, and the connection to it.
pub(super) struct ShareRelay {
    connected: RelayConnection,
    dialer: Dialer,
    spec: RelaySpec,
    embedded: Option<EmbeddedRelay>,
}

impl ShareRelay {
    /// Connects to the configured relay. Without one, starts an embedded relay, preferably on `port`.
    pub(super) async fn open(
        state: &StateDir,
        configured: Option<RelaySpec>,
        port: Option<u16>,
        transport: TransportOptions,
        events: &Events,
    ) -> Result<Self> {
        if let Some(spec) = configured {
            let dialer = relay_dialer(state, vec![spec.addr.clone()], (&spec, NamedBy::User), transport, events);
            let connected = dialer.dial().await?;
            return Ok(Self { connected, dialer, spec, embedded: None });
        }
        let embedded = EmbeddedRelay::start(state, port, transport)?;
        udp_buffers::warn_once(state, embedded.clamped_buffers(), events).await;
        let address = embedded.loopback_address();
        let spec = RelaySpec { addr: address.addr.into(), pin: Some(address.pin) };
        let dialer = Dialer::new(vec![spec.addr.clone()], TrustPolicy::Pin(address.pin), transport);
        let connected = dialer.dial().await?;
        Ok(Self { connected, dialer, spec, embedded: Some(embedded) })
    }

    /// Requests a slot: the slot of `ticket`, or a new one if there is no ticket.
    pub(super) async fn request_slot(&self, ticket: Option<Vec<u8>>) -> Result<Registration> {
        Registration::request(self.connected.connection.clone(), self.register_token(), ticket).await
    }

    pub(super) fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// Returns the token that an embedded relay requires.
    pub(super) fn register_token(&self) -> Option<Vec<u8>> {
        self.embedded.as_ref().map(EmbeddedRelay::register_token)
    }

    pub(super) fn embedded_port(&self) -> Option<u16> {
        self.embedded.as_ref().map(EmbeddedRelay::port)
    }

    /// Publishes an embedded relay's address on this machine, so that the bare code works on it.
    pub(super) fn publish(&self, state: &StateDir, code: &Code) -> Result<Option<RunningShare>> {
        let embedded = self.embedded.as_ref();
        embedded.map(|relay| RunningShare::publish(state, code.slot(), &relay.loopback_address())).transpose()
    }

    /// Returns the pin of the relay's key, unless a public authority has certified the relay.
    pub(super) fn pin(&self) -> Option<Pin> {
        let verified = &self.connected.verified;
        (verified.by != VerifiedBy::Authority).then_some(verified.pin)
    }

    pub(super) fn link_template(&self) -> LinkTemplate {
        let mut addresses = match &self.embedded {
            Some(embedded) => embedded.lan_addresses(),
            None => vec![self.spec.addr.clone()],
        };
        let relay = addresses.remove(0);
        LinkTemplate { relay, alternatives: addresses, pin: self.pin() }
    }

    /// Closes the connection and stops an embedded relay.
    pub(super) async fn close(self) {
        self.connected.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
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
