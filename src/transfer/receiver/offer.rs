//! The offer of a sender: the user can list it, or plan a download of it.

use std::{path::PathBuf, sync::Arc};

use super::{
    confirmed_session::ConfirmedSession,
    connect::SenderConnector,
    destination::Destination,
    offer_summary::{list_entry, summarize},
    reconnect_config::ReconnectConfig,
};
use crate::{
    blocking::run_blocking,
    code::Code,
    disk::{Conflict, EarlierDownload},
    error::{Error, Result},
    event::{Event, Events, ListedEntry, OfferSummary},
    manifest::{Manifest, ManifestDigest},
    selection::Selection,
    wire::peer::DownloadOutcome,
};

/// The maximum number of entries in one `entries` event. The channel of events holds 256 of them.
const ENTRIES_PER_EVENT: usize = 100;

/// A sender's offer that the user has not accepted yet.
pub struct PendingOffer {
    pub(super) session: ConfirmedSession,
    pub(super) manifest: Arc<Manifest>,
    pub(super) sender: SenderConnector,
    /// The selection that `manifest` is the result of.
    pub(super) selection: Selection,
    /// The digest of the offer that the user accepted earlier in this process.
    pub(super) accepted: Option<ManifestDigest>,
}

impl PendingOffer {
    /// Connects to the sender behind a code and reads its offer, of which only the `selection` counts from then on.
    ///
    /// A receiver that has downloaded from this sender before waits for the network, the relay and the sender.
    ///
    /// # Errors
    /// - [`Kind::NotFound`](crate::error::Kind::NotFound) if the relay does not know the code or the sender is gone
    /// - [`Kind::WrongCode`](crate::error::Kind::WrongCode) if the sender does not confirm the code
    /// - [`Kind::Usage`](crate::error::Kind::Usage) if a pattern of the selection matches nothing
    /// - [`Kind::Refused`](crate::error::Kind::Refused) if the relay or the sender refuses
    /// - [`Kind::Network`](crate::error::Kind::Network) if the relay or the sender cannot be reached
    /// - [`Kind::Disk`](crate::error::Kind::Disk) or [`Kind::Transfer`](crate::error::Kind::Transfer) for an offer that
    ///   no honest sender makes
    /// - [`Kind::Interrupted`](crate::error::Kind::Interrupted) if `interrupt` completes first
    pub async fn receive(
        code: &Code,
        config: ReconnectConfig,
        selection: Selection,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<Self> {
        let sender = SenderConnector::new(code.clone(), config);
        let (session, manifest) = sender.open_session(None, events, interrupt).await?;
        let (session, manifest) = select(session, manifest, &selection).await?;
        Ok(Self { session, manifest, sender, selection, accepted: None })
    }

    /// Reports the offer and every entry, and ends the session. `out` is the target folder.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if `interrupt` completes first.
    pub async fn list(self, out: Option<PathBuf>, events: &Events, interrupt: impl Future<Output = ()>) -> Result<()> {
        let listing = async {
            events.report(Event::Offer(self.summary(out).await));
            let mut entries = self.entries();
            while entries.len() > 0 {
                let entries = entries.by_ref().take(ENTRIES_PER_EVENT).collect();
                events.report_result(Event::Entries { entries }).await;
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

    /// Returns the entries that are selected, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ListedEntry> {
        self.manifest.entries().map(list_entry)
    }

    /// Returns the name of the share, as the sender gave it.
    pub fn name(&self) -> &str {
        self.manifest.name()
    }

    /// Returns the number of files that are selected.
    pub fn files(&self) -> u64 {
        self.manifest.files()
    }

    /// Returns the bytes of content that are selected, if their number is known.
    pub fn bytes(&self) -> Option<u64> {
        self.manifest.bytes()
    }

    /// Finds the targets that exist and have no policy of their own. Without the target folder there are none; planning
    /// reports that.
    pub async fn conflicts(&self, destination: &Destination) -> Vec<Conflict> {
        let (manifest, out) = (Arc::clone(&self.manifest), destination.out.clone());
        let found = run_blocking(move || Conflict::find(&manifest, out.as_deref())).await.unwrap_or_default();
        found.into_iter().filter(|conflict| !destination.conflicts.by_name.contains_key(&conflict.name)).collect()
    }

    /// Declines the offer on behalf of the user, and closes the session.
    pub async fn decline(self) {
        self.session.close(DownloadOutcome::Declined).await;
    }

    /// Reports to the sender that there is no download because of `error`, and closes the session.
    pub async fn abort(self, error: &Error) {
        self.session.abort(error).await;
    }

    /// Summarizes the offer, and compares it with an earlier download to `out`.
    pub(super) async fn summary(&self, out: Option<PathBuf>) -> OfferSummary {
        let (manifest, accepted) = (Arc::clone(&self.manifest), self.accepted);
        let summarized = run_blocking(move || {
            let mut earlier = EarlierDownload::find(&manifest, out.as_deref());
            earlier.differs |= accepted.is_some_and(|accepted| accepted != manifest.digest());
            Ok(summarize(&manifest, earlier))
        });
        summarized.await.unwrap_or_else(|_| summarize(&self.manifest, EarlierDownload::default()))
    }
}

/// Selects a part of a new offer. If that fails, closes the session as after a declined offer.
///
/// # Errors
/// The errors of [`Selection::apply`].
pub(super) async fn select(
    session: ConfirmedSession,
    manifest: Manifest,
    selection: &Selection,
) -> Result<(ConfirmedSession, Arc<Manifest>)> {
    let selection = selection.clone();
    match run_blocking(move || selection.apply(manifest)).await {
        Ok(selected) => Ok((session, Arc::new(selected))),
        Err(e) => {
            session.close(DownloadOutcome::Declined).await;
            Err(e)
        }
    }
}
