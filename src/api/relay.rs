//! A relay in this process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tracing::warn;

use super::{background_task::BackgroundTask, relay_address::RelayAddress};
use crate::{
    client::{RelayServer, usable_addresses},
    code::RelaySpec,
    error::Result,
    event::Event,
    net::TransportOptions,
    relay::RelayConfig,
    state::StateDir,
};

/// How to run a relay.
#[derive(Debug, Clone)]
#[must_use = "a relay runs after `start`"]
pub struct RelayOptions {
    addr: SocketAddr,
    folder: Option<PathBuf>,
}

/// A relay that runs in the background. Dropping it stops the relay, and with it the downloads that it forwards.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    addresses: Vec<RelayAddress>,
    task: BackgroundTask<()>,
}

impl RelayOptions {
    /// Listens on a UDP address. Port 0 stands for any free port, and `[::]` for all addresses of this machine.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, folder: None }
    }

    /// Stores the relay's key and the codes that it has assigned in this private folder, so that they outlive this
    /// process. Without a folder, the relay has a new key each time.
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts the relay. It must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) if it cannot listen,
    /// [`ErrorKind::Disk`](crate::ErrorKind::Disk) if the folder cannot be used.
    pub fn start(self) -> Result<Relay> {
        let folder = self.folder.map(StateDir::open).transpose()?;
        let config = RelayConfig { on_warning: Some(Arc::new(log)), ..RelayConfig::default() };
        let server = RelayServer::listen(self.addr, folder, TransportOptions::default(), config)?;
        let (addr, pin) = (server.addr(), server.pin());
        let address = |addr| RelayAddress(RelaySpec { addr, pin: Some(pin) });
        let addresses = usable_addresses(addr).into_iter().map(address).collect();
        let task = BackgroundTask::start(|interrupt| server.serve(interrupt.wait()));
        Ok(Relay { addr, addresses, task })
    }
}

impl Relay {
    /// Returns the UDP address on which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the addresses under which clients reach it, with its pin, the best ones first. Another machine may need
    /// a name or an address that this machine does not know. There is at least one.
    pub fn addresses(&self) -> &[RelayAddress] {
        &self.addresses
    }

    /// Stops the relay: it closes all connections, and waits until their ends know. If one of them has vanished, the
    /// port stays in use for some seconds.
    ///
    /// # Errors
    /// [`ErrorKind::Disk`](crate::ErrorKind::Disk) if it could not read the codes that it has assigned.
    pub async fn stop(self) -> Result<()> {
        self.task.stop().await
    }
}

/// Logs a warning for the operator.
fn log(event: Event) {
    if let Event::Warning { message, .. } = event {
        warn!("{message}");
    }
}
