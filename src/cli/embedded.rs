//! A relay inside the sender's own process, for whoever has no other: it serves this one share.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{relay::ticket_key, running_shares::EmbeddedAddress};
use crate::{
    code::{DEFAULT_PORT, Pin, RelayAddr},
    error::Result,
    net::{self, ClampedBuffers, RelayIdentity, TransportOptions},
    relay,
    state::StateDir,
};

/// The file that keeps the port over restarts.
const PORT_FILE: &str = "port";

/// How long the end of a share waits for what this relay has taken from it and not delivered yet.
const DRAIN: Duration = Duration::from_secs(3);

/// A relay that runs in this process.
pub(super) struct Embedded {
    pin: Pin,
    port: u16,
    clamped: Option<ClampedBuffers>,
    token: Vec<u8>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Embedded {
    /// Starts it on the port that its share had, else on that of the last time, on 4433, or on any that is free.
    ///
    /// # Errors
    /// [`crate::error::Kind::Disk`] for the state folder, [`crate::error::Kind::Network`] where no port can be had.
    pub(super) fn start(state: &StateDir, port: Option<u16>, transport: TransportOptions) -> Result<Self> {
        let dir = state.subfolder("embedded")?;
        let identity = RelayIdentity::load_or_create(&dir)?;
        let kept = dir.read(PORT_FILE, 16)?.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        let listen = |port| net::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), &identity, transport);
        let ports = [port, kept, Some(DEFAULT_PORT)].into_iter().flatten();
        let listener = ports.map(listen).find_map(Result::ok).map_or_else(|| listen(0), Ok)?;
        let port = listener.local_addr().map_or(DEFAULT_PORT, |addr| addr.port());
        if kept.is_none() {
            dir.write(PORT_FILE, port.to_string().as_bytes())?;
        }
        let clamped = listener.clamped_buffers();
        let token = rand::random::<[u8; 32]>().to_vec();
        let ticket_key = ticket_key(&identity);
        let register_token = Some(token.clone());
        let config =
            relay::RelayConfig { register_token, ticket_key, drain_timeout: DRAIN, ..relay::RelayConfig::default() };
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(relay::serve(listener, config, async {
            let _ = stopped.await;
        }));
        Ok(Self { pin: identity.pin(), port, clamped, token, stop, serving })
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where this process and others on this machine reach it.
    pub(super) fn reach(&self) -> EmbeddedAddress {
        EmbeddedAddress { addr: (Ipv4Addr::LOCALHOST, self.port).into(), pin: self.pin }
    }

    /// Where others in the local network reach it, the best first.
    pub(super) fn addresses(&self) -> Vec<RelayAddr> {
        /// A link should stay short enough for a QR code.
        const MOST: usize = 4;
        let mut addresses: Vec<_> =
            net::local_addresses().into_iter().map(|ip| SocketAddr::new(ip, self.port).into()).collect();
        addresses.truncate(MOST);
        addresses
    }

    /// How its socket came short of buffers, where it did.
    pub(super) fn clamped(&self) -> Option<ClampedBuffers> {
        self.clamped
    }

    /// What this process shows to get a slot.
    pub(super) fn token(&self) -> Vec<u8> {
        self.token.clone()
    }

    /// Says goodbye to receivers and ends.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.serving.await;
    }
}
