//! The offer of a sender: the user can list, decline or plan it.

use std::{path::PathBuf, sync::Arc};

use super::{
    confirmed_session::ConfirmedSession,
    connect::SenderConnector,
    destination::Destination,
    download::PlannedDownload,
    offer_summary::{list_entry, summarize},
    reconnect_config::ReconnectConfig,
};
use crate::{
    blocking::run_blocking,
    code::Code,
    disk::Plan,
    error::Result,
    event::{Event, OfferSummary},
    manifest::Manifest,
    transfer::events::Events,
    wire::peer::DownloadOutcome,
};

/// The maximum number of entries in one `entries` event.
const ENTRIES_PER_EVENT: usize = 1000;

/// A sender's offer that the user has not accepted yet.
pub struct PendingOffer {
    session: ConfirmedSession,
    manifest: Arc<Manifest>,
    sender: SenderConnector,
}

impl PendingOffer {
    /// Connects to the sender behind a code and reads its offer.
    ///
    /// A receiver that has downloaded from this sender before waits for the network, the relay and the sender.
    ///
    /// # Errors
    /// - [`Kind::NotFound`](crate::error::Kind::NotFound) if the relay does not know the code or the sender is gone
    /// - [`Kind::WrongCode`](crate::error::Kind::WrongCode) if the sender does not confirm the code
    /// - [`Kind::Refused`](crate::error::Kind::Refused) if the relay or the sender refuses
    /// - [`Kind::Network`](crate::error::Kind::Network) if the relay or the sender cannot be reached
    /// - [`Kind::Disk`](crate::error::Kind::Disk) or [`Kind::Transfer`](crate::error::Kind::Transfer) for an offer that
    ///   no honest sender makes
    /// - [`Kind::Interrupted`](crate::error::Kind::Interrupted) if `interrupt` completes first
    pub async fn receive(
        code: &Code,
        config: ReconnectConfig,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<Self> {
        let sender = SenderConnector::new(code.clone(), config);
        let (session, manifest) = sender.open_session(None, events, interrupt).await?;
        Ok(Self { session, manifest: Arc::new(manifest), sender })
    }

    /// Summarizes the offer, including the data that an earlier download to `out` has staged.
    pub async fn summary(&self, out: Option<PathBuf>) -> OfferSummary {
        let manifest = Arc::clone(&self.manifest);
        let staged = run_blocking(move || Ok(Plan::resumable_bytes(&manifest, out.as_deref()))).await;
        OfferSummary { resumed_bytes: staged.unwrap_or(0), ..summarize(&self.manifest) }
    }

    /// Reports every entry and ends the session.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if `interrupt` completes first.
    pub async fn list(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<()> {
        let listing = async {
            for entries in self.manifest.entries().chunks(ENTRIES_PER_EVENT) {
                events.report(Event::Entries { entries: entries.iter().map(list_entry).collect() }).await;
            }
        };
        tokio::select! {
            () = listing => {}
            () = interrupt => {
                let e = self.sender.interrupted();
                self.session.abort(&e).await;
                return Err(e);
            }
        }
        self.session.close(DownloadOutcome::Listed).await;
        Ok(())
    }

    /// Declines the offer on behalf of the user, and closes the session.
    pub async fn decline(self) {
        self.session.close(DownloadOutcome::Declined).await;
    }

    /// Plans a path for every entry. Writes nothing.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if a target already exists and the conflict policy does not allow that,
    /// if the target cannot hold a name, if there is too little space, or if the share exceeds the user's limit.
    pub async fn plan(self, destination: Destination) -> Result<PlannedDownload> {
        match destination.plan(Arc::clone(&self.manifest)).await {
            Ok(plan) => Ok(PlannedDownload::new(self.session, self.sender, destination, plan)),
            Err(e) => {
                self.session.abort(&e).await;
                Err(e)
            }
        }
    }
}
