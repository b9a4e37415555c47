//! What to receive, and how.

use std::{future::pending, path::PathBuf, time::Duration};

use super::{download::DownloadEvent, offer::Offer, relay_address::RelayAddress};
use crate::{
    client::{OfferRequest, ReceiveTarget},
    code::CodeOrLink,
    disk::ConflictPolicy,
    error::Result,
    event::Events,
    net::{ClientRole, LanReach, TransportOptions},
    selection::Selection,
    state::StateAccess,
    transfer::Destination,
};

/// How long a download tries to connect again after its connection is lost.
const RETRY_FOR: Duration = Duration::from_secs(10 * 60);

/// What to receive, and how.
#[derive(Debug, Clone)]
#[must_use = "nothing is received before `connect`"]
pub struct ReceiveOptions {
    given: CodeOrLink,
    relay: Option<RelayAddress>,
    local_network: bool,
    wait: Option<Duration>,
    path: Option<PathBuf>,
    conflicts: ConflictPolicy,
    state_folder: Option<PathBuf>,
}

impl ReceiveOptions {
    /// Receives the share that has this code or this link.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the text is neither, or has a typo.
    pub fn new(code_or_link: &str) -> Result<Self> {
        Ok(Self {
            given: CodeOrLink::parse(code_or_link)?,
            relay: None,
            local_network: true,
            wait: None,
            path: None,
            conflicts: ConflictPolicy::Refuse,
            state_folder: None,
        })
    }

    /// Searches for the sender of a code at this relay, too. A link names its own relay.
    pub fn relay(mut self, relay: RelayAddress) -> Self {
        self.relay = Some(relay);
        self
    }

    /// Whether to search the local network for the sender of a code. That is the default.
    pub fn local_network(mut self, is_on: bool) -> Self {
        self.local_network = is_on;
        self
    }

    /// Waits this long for a sender that does not share yet.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Saves in this folder, which must exist; by default, in the current folder. A single file may have the new path
    /// of the file here instead.
    pub fn save_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// What to do if a name exists already; by default, nothing is downloaded then.
    pub fn conflicts(mut self, policy: ConflictPolicy) -> Self {
        self.conflicts = policy;
        self
    }

    /// Stores in this folder, which must be private, what a later process needs to continue an interrupted download
    /// after the sender has changed its code, and the keys of relays without a pin. Without a folder, nothing is
    /// stored.
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// Connects to the sender, and reads its offer. Nothing is downloaded yet. It must be called in a tokio runtime.
    ///
    /// # Errors
    /// - [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if nobody shares under this code
    /// - [`ErrorKind::WrongCode`](crate::ErrorKind::WrongCode) if the second half of the code is wrong, or the relay
    ///   has another key than its pin says
    /// - [`ErrorKind::Network`](crate::ErrorKind::Network) if the relay or the sender cannot be reached
    /// - [`ErrorKind::Refused`](crate::ErrorKind::Refused) if the relay or the sender refuses
    /// - [`ErrorKind::Disk`](crate::ErrorKind::Disk) if the state folder cannot be used
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the connection is closed.
    pub async fn connect(self) -> Result<Offer> {
        let Self { given, relay, local_network, wait, path, conflicts, state_folder } = self;
        let (events, reported) = Events::unattended(|event| DownloadEvent::of(event).is_some());
        let request = OfferRequest {
            target: match given {
                CodeOrLink::Link(link) => ReceiveTarget::link(*link),
                CodeOrLink::Code(code) => ReceiveTarget::code(code, relay.map(|relay| relay.0)),
            },
            state: StateAccess::named(state_folder)?,
            transport: TransportOptions { role: ClientRole::Receiver, ..TransportOptions::default() },
            lan: local_network.then_some(LanReach::Multicast),
            wait,
            retry_for: RETRY_FOR,
            rate_limit: None,
            selection: Selection::default(),
            out: path.clone(),
        };
        let pending = request.send(&events, pending()).await?;
        let destination =
            Destination { out: path, conflicts: conflicts.into(), skip_unsupported: false, max_size: None };
        Ok(Offer { pending, destination, events, reported })
    }
}
