//! The relay inside a sender's process, for users who have no other relay. It serves only that process's share, over a
//! connection in memory.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{running_shares::EmbeddedAddress, ticket_key::ticket_key};
use crate::{
    code::{DEFAULT_PORT, Pin, RelayAddr},
    error::Result,
    net::{self, ClampedBuffers, Connection, RelayIdentity, TransportOptions},
    relay::{self, Limits, RelayConfig, RelayLimit, SenderPolicy},
    state::StateDir,
};

/// The file that stores the port across restarts.
const PORT_FILE: &str = "port";

/// When the share ends, the longest wait for undelivered data.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of connected receivers. A share serves at most 1,024 streams.
const MAX_CONNECTIONS: u32 = 2_000;

/// The maximum number of addresses in a link, so that it fits into a QR code.
const MAX_ADDRESSES: usize = 4;

/// A relay that runs in this process.
pub(super) struct EmbeddedRelay {
    pin: Pin,
    port: u16,
    clamped_buffers: Option<ClampedBuffers>,
    /// The share's end of the connection to the relay.
    connection: Connection,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<()>>,
}

impl EmbeddedRelay {
    /// Starts the relay on the first free port of: `share_port`, which the share had before; the port of the last
    /// embedded relay; 4433; any port. Without a state folder, the relay has a temporary identity. The rate limit of
    /// `transport` applies to the share, not to each receiver.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the state folder cannot be used,
    /// [`Kind::Network`](crate::error::Kind::Network) if no port can be opened.
    pub(super) fn start(
        state: Option<&StateDir>,
        share_port: Option<u16>,
        transport: TransportOptions,
    ) -> Result<Self> {
        let dir = state.map(|state| state.subfolder("embedded")).transpose()?;
        let (identity, stored_port) = match &dir {
            Some(dir) => (RelayIdentity::load_or_create(dir)?, read_port(dir)?),
            None => (RelayIdentity::temporary()?, None),
        };
        let to_receivers = TransportOptions { send_rate_limit: None, ..transport };
        let listen = |port| net::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), &identity, to_receivers);
        let ports = [share_port, stored_port, Some(DEFAULT_PORT)].into_iter().flatten();
        let listener = ports.map(listen).find_map(Result::ok).map_or_else(|| listen(0), Ok)?;
        let port = listener.local_addr().map_or(DEFAULT_PORT, |addr| addr.port());
        if let (Some(dir), None) = (&dir, stored_port) {
            dir.write(PORT_FILE, port.to_string().as_bytes())?;
        }
        let clamped_buffers = listener.clamped_buffers();
        let (connection, relay_end) = Connection::in_memory(transport);
        let config = RelayConfig {
            senders: SenderPolicy::InProcess,
            ticket_key: ticket_key(&identity),
            drain_timeout: DRAIN_TIMEOUT,
            limits: Limits::default().with(RelayLimit::ConnectionsTotal, MAX_CONNECTIONS),
            ..RelayConfig::default()
        };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(relay::serve(listener, Some(relay_end), config, async {
            let _ = stopped.await; // an error means that the relay was dropped: it stops too
        }));
        Ok(Self { pin: identity.pin(), port, clamped_buffers, connection, stop, server })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address for processes on this machine.
    pub(super) fn loopback_address(&self) -> EmbeddedAddress {
        EmbeddedAddress { addr: (Ipv4Addr::LOCALHOST, self.port).into(), pin: self.pin }
    }

    /// Returns the addresses for the local network, the best one first; the loopback address if there are none.
    pub(super) fn lan_addresses(&self) -> Vec<RelayAddr> {
        let mut addresses = net::local_addresses();
        if addresses.is_empty() {
            addresses.push(Ipv4Addr::LOCALHOST.into());
        }
        addresses.into_iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, self.port).into()).collect()
    }

    /// Returns the sizes of the socket buffers, if the system clamped them.
    pub(super) fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped_buffers
    }

    /// Returns the share's connection to the relay. No other can register a slot.
    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    pub(super) fn pin(&self) -> Pin {
        self.pin
    }

    /// Delivers what the bridges hold, closes the relay's connections, and waits until it has stopped.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(()); // fails if the relay has already stopped
        let _ = self.server.await; // the share is over, so an error no longer matters
    }
}

fn read_port(dir: &StateDir) -> Result<Option<u16>> {
    let text = dir.read(PORT_FILE, 16)?;
    Ok(text.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok()))
}
