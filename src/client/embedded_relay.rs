//! The relay inside a sender's process, for receivers on this machine and on the local network. It serves only that
//! process's share, over a connection in memory.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{relay_server::usable_addresses, running_shares::EmbeddedAddress, ticket_key::ticket_key};
use crate::{
    code::{DEFAULT_PORT, EMBEDDED_PORTS, Pin, RelayAddr},
    error::Result,
    net::{self, ClampedBuffers, Connection, RelayIdentity, TransportOptions},
    relay::{self, Limits, RelayConfig, RelayLimit, SenderPolicy, TicketKey},
    state::StateDir,
};

/// When the share ends, the longest wait for undelivered data.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of connected receivers. A share serves at most 1,024 streams.
const MAX_CONNECTIONS: u32 = 2_000;

/// The maximum number of addresses in a link, so that it fits into a QR code.
const MAX_ADDRESSES: usize = 4;

/// A relay that runs in this process.
pub(crate) struct EmbeddedRelay {
    pin: Pin,
    port: u16,
    clamped_buffers: Option<ClampedBuffers>,
    ticket_key: TicketKey,
    /// The share's end of the connection to the relay.
    connection: Connection,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<()>>,
}

impl EmbeddedRelay {
    /// Starts the relay on `share_port`, which the share had before; otherwise on the first free one of
    /// [`EMBEDDED_PORTS`]; otherwise on any port. Without a state folder, the relay has a temporary identity. The
    /// limiter of `transport` applies to the share, not to each receiver.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the state folder cannot be used,
    /// [`Kind::Network`](crate::error::Kind::Network) if no port can be opened.
    pub(crate) fn start(
        state: Option<&StateDir>,
        share_port: Option<u16>,
        transport: TransportOptions,
    ) -> Result<Self> {
        let dir = state.map(|state| state.subfolder("embedded")).transpose()?;
        let identity = RelayIdentity::stored_in(dir.as_ref())?;
        let to_receivers = TransportOptions { send_limiter: None, ..transport.clone() };
        let listen =
            |port| net::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), &identity, to_receivers.clone());
        let ports = share_port.into_iter().chain(EMBEDDED_PORTS);
        let listener = ports.map(&listen).find_map(Result::ok).map_or_else(|| listen(0), Ok)?;
        let port = listener.local_addr().map_or(DEFAULT_PORT, |addr| addr.port());
        let clamped_buffers = listener.clamped_buffers();
        let (connection, relay_end) = Connection::in_memory(transport);
        let ticket_key = ticket_key(&identity);
        let config = RelayConfig {
            senders: SenderPolicy::InProcess,
            ticket_key: ticket_key.clone(),
            drain_timeout: DRAIN_TIMEOUT,
            limits: Limits::default().with(RelayLimit::ConnectionsTotal, MAX_CONNECTIONS),
            ..RelayConfig::default()
        };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(relay::serve(listener, Some(relay_end), config, async {
            let _ = stopped.await; // an error means that the relay was dropped: it stops too
        }));
        Ok(Self { pin: identity.pin(), port, clamped_buffers, ticket_key, connection, stop, server })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address for processes on this machine.
    pub(crate) fn loopback_address(&self) -> EmbeddedAddress {
        EmbeddedAddress { addr: (Ipv4Addr::LOCALHOST, self.port).into() }
    }

    /// Returns the addresses for the local network, the best one first; the loopback address if there are none.
    pub(crate) fn lan_addresses(&self) -> Vec<RelayAddr> {
        let mut addresses = usable_addresses(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)));
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }

    /// Returns the sizes of the socket buffers, if the system clamped them.
    pub(crate) fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped_buffers
    }

    /// Returns the share's connection to the relay. No other can register a slot.
    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Returns the key with which the share obtains a slot of its choice.
    pub(crate) fn ticket_key(&self) -> TicketKey {
        self.ticket_key.clone()
    }

    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// Delivers what the bridges hold, closes the relay's connections, and waits until it has stopped.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(()); // fails if the relay has already stopped
        let _ = self.server.await; // the share is over, so an error no longer matters
    }
}
