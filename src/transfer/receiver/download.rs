//! A download: it runs in successive sessions until every entry is saved, or until the sender's offer changes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    confirmed_session::ConfirmedSession,
    connect::SenderConnector,
    destination::Destination,
    finished_download::{EntryCounts, finish},
    offer::{PendingOffer, select},
    offer_summary::with_plan,
    session_download::{RequestedEntries, SessionDownload, SessionDownloadError},
    unsupported,
};
use crate::{
    disk::{Plan, Sink},
    error::{Error, Kind, Result},
    event::{Event, Events, Finished, OfferSummary},
    manifest::Manifest,
    rate_limiter::RateLimiter,
    selection::Selection,
    text::count,
    transfer::user_errors::pipe_failed,
    wire::peer::DownloadOutcome,
};

/// An offer with a planned path for every entry.
pub struct PlannedDownload {
    session: ConfirmedSession,
    sender: SenderConnector,
    selection: Selection,
    destination: Destination,
    plan: Plan,
    summary: OfferSummary,
}

/// The end of a download that has not failed.
pub enum DownloadEnd {
    /// Every entry is verified and has its final name.
    Saved(Finished),
    /// The sender was restarted, and its offer differs from the accepted one. The staged data remains.
    OfferChanged(Box<PendingOffer>),
}

impl PlannedDownload {
    /// Plans a path for every entry of an offer, and reports the offer. Writes nothing that remains.
    ///
    /// # Errors
    /// [`Kind::Disk`] if a target already exists and the conflict policy does not allow that, if the disk cannot hold
    /// an entry that the user does not want to leave out, if there is too little space, or if the share exceeds the
    /// user's limit.
    pub async fn new(offer: PendingOffer, destination: Destination, events: &Events) -> Result<Self> {
        let summary = offer.summary(destination.out.clone()).await;
        let PendingOffer { session, manifest, sender, selection, .. } = offer;
        match destination.plan(manifest).await {
            Ok(plan) => {
                let summary = with_plan(summary, &plan);
                events.report(Event::Offer(summary.clone()));
                unsupported::report(&plan, events).await;
                if let Err(e) = check_unsupported(&plan, &destination) {
                    session.abort(&e).await;
                    return Err(e);
                }
                Ok(Self { session, sender, selection, destination, plan, summary })
            }
            Err(e) => {
                events.report(Event::Offer(summary));
                session.abort(&e).await;
                Err(e)
            }
        }
    }

    /// Returns the summary that the user accepts or declines.
    pub fn summary(&self) -> &OfferSummary {
        &self.summary
    }

    /// Declines the offer on behalf of the user, and closes the session.
    pub async fn decline(self) {
        self.session.close(DownloadOutcome::Declined).await;
    }

    /// Reports to the sender that there is no download because of `error`, and closes the session.
    pub async fn abort(self, error: &Error) {
        self.session.abort(error).await;
    }

    /// Downloads and verifies every entry, gives each its final name, and reports the end to `events` and to the
    /// sender.
    ///
    /// When a stream fails, the session continues on another one. When the sender does not know the session, the
    /// download resumes from the staged data in a new one, unless the offer there differs from the accepted one.
    ///
    /// # Errors
    /// An [`Error`] of any [`Kind`]. No incomplete file has a final name. [`Kind::Transfer`] if the sender could not
    /// send some files; then all others have their final names.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<DownloadEnd> {
        let Self { mut session, mut sender, selection, destination, mut plan, .. } = self;
        let started = Instant::now();
        let is_pipe = plan.manifest().bytes().is_none();
        let (share, accepted) = (plan.manifest().share(), plan.manifest().digest());
        tokio::pin!(interrupt);
        loop {
            let counts = EntryCounts::of(&plan);
            sender.store_resumption(session.resumption.take());
            let route = Arc::clone(&session.route);
            let download = disk_download(plan, sender.rate_limiter(), events);
            match download.run(session, interrupt.as_mut()).await {
                Ok(saved) => {
                    if saved.published.failed.is_empty() {
                        sender.remove_resumption();
                    }
                    warn_of_altered_times(saved.published.altered_times, events);
                    let seconds = started.elapsed().as_secs_f64();
                    let route = *route.lock();
                    let finished = finish(saved, &counts, (seconds, route), events, interrupt).await;
                    return finished.map(DownloadEnd::Saved).map_err(|e| if is_pipe { pipe_failed(e) } else { e });
                }
                Err(SessionDownloadError::Fatal(e)) if is_pipe => return Err(pipe_failed(e)),
                Err(SessionDownloadError::Fatal(e)) => return Err(e),
                Err(SessionDownloadError::SessionUnknown) => {}
            }
            let lost = Error::new(Kind::Network, "the sender was restarted");
            let (next, manifest) = sender.open_session(Some(lost), events, interrupt.as_mut()).await?;
            let (next, manifest) = select(next, manifest, &selection).await?;
            // Another share uses another staging folder.
            if manifest.share() != share || manifest.digest() != accepted {
                let offer = PendingOffer { session: next, manifest, sender, selection, accepted: Some(accepted) };
                return Ok(DownloadEnd::OfferChanged(Box::new(offer)));
            }
            (session, plan) = plan_again(next, &destination, manifest).await?;
        }
    }
}

/// Returns the download of a plan in one session.
fn disk_download(
    plan: Plan,
    rate_limiter: Option<RateLimiter>,
    events: &Events,
) -> SessionDownload<'_, impl FnOnce() -> Result<Sink> + Send + 'static> {
    let manifest = Arc::clone(plan.manifest());
    let wanted = (0..manifest.len()).filter(|index| plan.wants(*index));
    let request = RequestedEntries::new(&manifest, wanted, plan.bytes());
    SessionDownload { request, open_sink: move || Sink::new(plan), rate_limiter, events }
}

/// Plans the same offer again: entries that are published by now are not downloaded again.
async fn plan_again(
    session: ConfirmedSession,
    destination: &Destination,
    manifest: Arc<Manifest>,
) -> Result<(ConfirmedSession, Plan)> {
    let planned = destination.plan(manifest).await;
    match planned.and_then(|plan| check_unsupported(&plan, destination).map(|()| plan)) {
        Ok(plan) => Ok((session, plan)),
        Err(e) => {
            session.abort(&e).await;
            Err(e)
        }
    }
}

/// Warns that the disk holds other modification times than the sender's.
fn warn_of_altered_times(entries: u64, events: &Events) {
    if entries > 0 {
        let entries = count(entries, "modification time");
        let message = format!("the disk cannot hold {entries}; it holds the nearest one that it can");
        events.report(Event::Warning { kind: "times", message, hint: None });
    }
}

/// Checks that the user has agreed to leave out what the disk cannot hold.
fn check_unsupported(plan: &Plan, destination: &Destination) -> Result<()> {
    if plan.unsupported_entries() == 0 || destination.skip_unsupported {
        Ok(())
    } else {
        Err(unsupported::refused(plan))
    }
}
