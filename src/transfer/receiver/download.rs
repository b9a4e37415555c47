//! A download: it runs in successive sessions until every entry is saved, or until the sender's offer changes.

use std::{path::PathBuf, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tokio::time::Instant;

use super::{
    confirmed_session::ConfirmedSession,
    connect::SenderConnector,
    destination::Destination,
    offer::{PendingOffer, select},
    offer_summary::with_plan,
    session_download::{RequestedEntries, SavedDownload, SessionDownload, SessionDownloadError},
    unsupported,
};
use crate::{
    disk::{FailedFile, Plan, Sink},
    error::{Error, Kind, Result},
    event::{Event, Events, Finished, OfferSummary},
    manifest::Manifest,
    rate_limiter::RateLimiter,
    route::Route,
    selection::Selection,
    text::{count, list},
    wire::peer::DownloadOutcome,
};

/// The most files that did not arrive that an error names.
const MAX_LISTED: usize = 10;

/// The bytes that are percent-encoded in a path.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

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
    /// [`Kind::Disk`] if a target already exists and the conflict policy does not allow that, if the disk cannot hold an
    /// entry that the user does not want to leave out, if there is too little space, or if the share exceeds the user's
    /// limit.
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
    /// An [`Error`] of any [`Kind`]. No incomplete file has a final name. [`Kind::Transfer`] if the sender could not send
    /// some files; then all others have their final names.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<DownloadEnd> {
        let Self { mut session, mut sender, selection, destination, mut plan, .. } = self;
        let started = Instant::now();
        let (share, accepted) = (plan.manifest().share(), plan.manifest().digest());
        tokio::pin!(interrupt);
        loop {
            let counts = EntryCounts::of(&plan);
            sender.store_resumption(session.resumption.take());
            let route = Arc::clone(&session.route);
            let download = disk_download(plan, sender.rate_limiter(), events);
            match download.run(session, interrupt.as_mut()).await {
                Ok(SavedDownload { published, bytes, completion }) => {
                    let failed = published.failed;
                    if failed.is_empty() {
                        sender.remove_resumption();
                    }
                    let seconds = started.elapsed().as_secs_f64();
                    warn_of_altered_times(published.altered_times, events);
                    let incomplete = failed.iter().map(|file| file.path.as_str().to_owned()).collect();
                    let counts = EntryCounts { files: counts.files - failed.len() as u64, ..counts };
                    let finished = finished(&published.paths, bytes, seconds, &counts);
                    let finished = Finished { incomplete, route: *route.lock(), ..finished };
                    events.report(Event::Finished(finished.clone()));
                    completion.send(events, interrupt).await;
                    return if failed.is_empty() {
                        Ok(DownloadEnd::Saved(finished))
                    } else {
                        Err(incomplete_error(&failed))
                    };
                }
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

/// The numbers of entries that a finished download reports.
struct EntryCounts {
    files: u64,
    skipped: u64,
    unselected: u64,
    unsupported: u64,
}

impl EntryCounts {
    fn of(plan: &Plan) -> Self {
        Self {
            files: plan.files(),
            skipped: plan.skipped_entries(),
            unselected: plan.manifest().unselected(),
            unsupported: plan.unsupported_entries(),
        }
    }
}

fn finished(paths: &[PathBuf], bytes: u64, seconds: f64, counts: &EntryCounts) -> Finished {
    let EntryCounts { files, skipped, unselected, unsupported } = *counts;
    let saved = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let is_unicode = paths.iter().all(|path| path.to_str().is_some());
    let encoded = |path: &PathBuf| percent_encode(path.as_os_str().as_encoded_bytes(), NOT_IN_PATHS).to_string();
    let saved_encoded = if is_unicode { Vec::new() } else { paths.iter().map(encoded).collect() };
    let (incomplete, route) = (Vec::new(), Route::default());
    Finished { bytes, seconds, saved, saved_encoded, files, skipped, unselected, unsupported, incomplete, route }
}

/// Returns the error for a download without these files.
fn incomplete_error(failed: &[FailedFile]) -> Error {
    let lines = failed.iter().map(|FailedFile { path, reason }| format!("“{path}” {reason}"));
    let total = failed.len() as u64;
    Error::new(Kind::Transfer, list(&format!("{} did not arrive", count(total, "file")), lines, total, MAX_LISTED))
        .hint("run the same command again to download what is missing")
}
