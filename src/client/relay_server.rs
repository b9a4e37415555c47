//! A relay that listens, with the identity that it stores.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ticket_key::ticket_key;
use crate::{
    code::{Pin, RelayAddr},
    error::Result,
    net::{self, ClampedBuffers, Listener, RelayIdentity, TransportOptions},
    relay::{self, RelayConfig, SlotJournal},
    state::StateDir,
};

/// A relay that listens and does not serve yet.
pub(crate) struct RelayServer {
    listener: Listener,
    addr: SocketAddr,
    pin: Pin,
    config: RelayConfig,
}

impl RelayServer {
    /// Opens the socket. The identity and the issued slots are stored in `folder`; without one, the relay has a
    /// temporary identity.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the folder cannot be used,
    /// [`Kind::Network`](crate::error::Kind::Network) if the port cannot be opened.
    pub(crate) fn listen(
        addr: SocketAddr,
        folder: Option<StateDir>,
        transport: TransportOptions,
        config: RelayConfig,
    ) -> Result<Self> {
        let identity = RelayIdentity::stored_in(folder.as_ref())?;
        let listener = net::listen(addr, &identity, transport)?;
        let addr = listener.local_addr().unwrap_or(addr);
        let journal = folder.map(SlotJournal::new);
        let config = RelayConfig { ticket_key: ticket_key(&identity), journal, ..config };
        Ok(Self { listener, addr, pin: identity.pin(), config })
    }

    /// Returns the address on which it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// Returns the sizes of the socket buffers, if the system clamped them.
    pub(crate) fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.listener.clamped_buffers()
    }

    /// Serves clients until `shutdown` completes.
    ///
    /// # Errors
    /// Those of [`relay::serve`].
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        relay::serve(self.listener, None, self.config, shutdown).await
    }
}

/// Returns the addresses under which other machines can reach a relay that listens on `addr`, the best ones first.
pub(crate) fn reachable_addresses(addr: SocketAddr) -> Vec<RelayAddr> {
    let is_served = |ip: &IpAddr| addr.is_ipv6() || ip.is_ipv4(); // a relay on `[::]` has both versions
    let addresses = if addr.ip().is_unspecified() { net::local_addresses() } else { vec![addr.ip()] };
    let addresses = addresses.into_iter().filter(is_served);
    addresses.map(|ip| RelayAddr::from(SocketAddr::new(ip, addr.port()))).collect()
}

/// Returns the [`reachable_addresses`]; the loopback address if there are none.
pub(crate) fn usable_addresses(addr: SocketAddr) -> Vec<RelayAddr> {
    let mut addresses = reachable_addresses(addr);
    if addresses.is_empty() {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port())).into());
    }
    addresses
}
