//! A download: it runs in one session after another until every entry is saved.

use std::{path::Path, pin::Pin, sync::Arc};

use tokio::time::Instant;

use super::{
    confirmed_session::ConfirmedSession,
    connect::SenderConnector,
    destination::Destination,
    offer_summary::summarize,
    session_download::{SavedDownload, SessionDownload, SessionDownloadError},
};
use crate::{
    disk::Plan,
    error::{Error, Kind, Result},
    event::{Event, Finished, OfferSummary, Route},
    manifest::{Entry, Manifest},
    transfer::events::Events,
    wire::peer::DownloadOutcome,
};

/// An offer with a planned path for every entry.
pub struct PlannedDownload {
    session: ConfirmedSession,
    sender: SenderConnector,
    destination: Destination,
    plan: Plan,
}

impl PlannedDownload {
    pub(super) fn new(
        session: ConfirmedSession,
        sender: SenderConnector,
        destination: Destination,
        plan: Plan,
    ) -> Self {
        Self { session, sender, destination, plan }
    }

    /// Summarizes the offer, without staged data.
    pub fn summary(&self) -> OfferSummary {
        summarize(self.plan.manifest())
    }

    /// Declines the offer on behalf of the user, and closes the session.
    pub async fn decline(self) {
        self.session.close(DownloadOutcome::Declined).await;
    }

    /// Downloads and verifies every entry, gives each its final name, and reports the end to `events` and to the
    /// sender.
    ///
    /// When a stream fails, the session continues on another one. When the sender does not know the session, the
    /// download resumes from the staged data in a new one.
    ///
    /// # Errors
    /// An [`Error`] of any [`Kind`]. No incomplete file has a final name.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<Finished> {
        let Self { mut session, mut sender, destination, mut plan } = self;
        let started = Instant::now();
        tokio::pin!(interrupt);
        loop {
            let (manifest, files) = (Arc::clone(plan.manifest()), plan.files());
            sender.store_resumption(session.resumption.take());
            let download = SessionDownload { plan, rate_limiter: sender.rate_limiter(), events };
            match download.run(session, interrupt.as_mut()).await {
                Ok(SavedDownload { paths, bytes, completion }) => {
                    sender.remove_resumption();
                    let seconds = started.elapsed().as_secs_f64();
                    let saved = paths.iter().map(|path| lossy(path)).collect();
                    let finished = Finished { bytes, seconds, saved, files, route: Route::Relay };
                    events.report(Event::Finished(finished.clone())).await;
                    completion.send(events, interrupt).await;
                    return Ok(finished);
                }
                Err(SessionDownloadError::Fatal(e)) => return Err(e),
                Err(SessionDownloadError::SessionUnknown) => {}
            }
            (session, plan) = replace_session(&sender, &destination, &manifest, events, interrupt.as_mut()).await?;
        }
    }
}

/// Opens another session and plans the download again. The offer must have the same entries as `before`.
async fn replace_session(
    sender: &SenderConnector,
    destination: &Destination,
    before: &Manifest,
    events: &Events,
    interrupt: Pin<&mut impl Future<Output = ()>>,
) -> Result<(ConfirmedSession, Plan)> {
    let lost = Error::new(Kind::Network, "the sender was restarted");
    let (session, offered) = sender.open_session(Some(lost), events, interrupt).await?;
    let planned = if has_same_entries(before, &offered) {
        destination.plan(Arc::new(offered)).await
    } else {
        Err(Error::new(Kind::Transfer, "the sender no longer shares the same files")
            .hint("run the command again to download the current files"))
    };
    match planned {
        Ok(plan) => Ok((session, plan)),
        Err(e) => {
            session.abort(&e).await;
            Err(e)
        }
    }
}

/// Whether both manifests have the same paths with the same kinds. Contents may differ.
fn has_same_entries(before: &Manifest, offered: &Manifest) -> bool {
    let is_same = |(a, b): (&Entry, &Entry)| {
        a.path == b.path && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
    };
    before.entries().len() == offered.entries().len() && before.entries().iter().zip(offered.entries()).all(is_same)
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
