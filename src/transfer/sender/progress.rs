//! The progress of one download: what was sent, what was acknowledged, and the events about both.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{download_limit::DownloadPermit, requested_files::RequestedFiles};
use crate::{
    error::Error,
    event::{DownloadStatus, Event, Events},
    net::StreamError,
    route::Route,
    sync::Mutex,
    transfer::{timeouts::PROGRESS_INTERVAL, user_errors::explain_stream_error},
};

/// Returns the label of a receiver in events.
pub(super) fn receiver_label(number: u64) -> String {
    format!("receiver {number}")
}

/// Counts the bytes sent and acknowledged in one download, and reports them.
pub(super) struct SendProgress {
    /// The number of the receiver.
    number: u64,
    route: Mutex<Route>,
    events: Events,
    counters: Mutex<ProgressCounters>,
}

#[derive(Default)]
struct ProgressCounters {
    /// The offset in the sealed stream behind the last record sent.
    sealed: u64,
    /// Records that are not acknowledged.
    in_flight: VecDeque<RecordInFlight>,
    /// Content bytes sent.
    sent: u64,
    /// Content bytes acknowledged. Starts with the bytes that the receiver has staged.
    acknowledged: u64,
    last_report: Option<Instant>,
    /// Set once the receiver has accepted.
    accepted: Option<AcceptedDownload>,
}

struct RecordInFlight {
    /// The offset in the sealed stream behind the record.
    end: u64,
    /// Content bytes sent up to the end of the record.
    content: u64,
}

struct AcceptedDownload {
    start: Instant,
    /// The number of requested files.
    files: u64,
    /// Content bytes in all, where known.
    total: Option<u64>,
    permit: DownloadPermit,
}

impl SendProgress {
    /// Creates counters that start at zero. Nothing is reported before [`accept`](Self::accept).
    pub(super) fn new(number: u64, route: Route, events: Events) -> Self {
        Self { number, route: Mutex::new(route), events, counters: Mutex::default() }
    }

    /// Returns the number of the receiver.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the route of the session's stream.
    pub(super) fn route(&self) -> Route {
        *self.route.lock()
    }

    /// Returns the offset in the sealed stream behind the last record sent.
    pub(super) fn sealed(&self) -> u64 {
        self.counters.lock().sealed
    }

    /// Sets the offset behind the records that the handshake has sent.
    pub(super) fn set_sealed(&self, end: u64) {
        self.counters.lock().sealed = end;
    }

    /// Counts a record that ends at offset `end` and holds `content` bytes of content.
    pub(super) fn count_sent(&self, end: u64, content: u64) {
        let mut counters = self.counters.lock();
        counters.sealed = end;
        counters.sent += content;
        let content = counters.sent;
        counters.in_flight.push_back(RecordInFlight { end, content });
    }

    /// Counts everything up to the offset `received` as acknowledged. Reports that at most once per
    /// [`PROGRESS_INTERVAL`].
    pub(super) fn acknowledge(&self, received: u64) {
        let mut counters = self.counters.lock();
        while let Some(&RecordInFlight { end, content }) = counters.in_flight.front()
            && end <= received
        {
            counters.acknowledged = content;
            counters.in_flight.pop_front();
        }
        if counters.last_report.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            counters.last_report = Some(Instant::now());
            self.try_report(&counters, Event::DownloadProgress);
        }
    }

    /// Starts the download of `requested`.
    pub(super) fn accept(&self, permit: DownloadPermit, requested: &RequestedFiles) {
        let (files, staged, total) = (requested.count(), requested.staged_bytes(), requested.total_bytes());
        {
            let mut counters = self.counters.lock();
            counters.accepted = Some(AcceptedDownload { start: Instant::now(), files, total, permit });
            counters.acknowledged = staged; // the first acknowledgement corrects it if some groups differ
        }
        self.events.report(Event::DownloadStarted(self.status(staged, total)));
    }

    /// Whether the receiver has accepted.
    pub(super) fn is_accepted(&self) -> bool {
        self.counters.lock().accepted.is_some()
    }

    /// Reports that the session waits for another stream because of `error`.
    pub(super) fn report_waiting(&self, error: &StreamError) {
        if !is_connection_lost(error) {
            let reason = explain_stream_error(error).message().to_owned();
            self.try_report(&self.counters.lock(), |download| Event::DownloadWaiting { download, reason });
        }
    }

    /// Reports that the session has another stream after `error`, and its route if that is another one.
    pub(super) fn report_resumed(&self, error: &StreamError, route: Route) {
        let former = std::mem::replace(&mut *self.route.lock(), route);
        if former != route && self.is_accepted() {
            self.events.report(Event::Path { download: Some(self.number), path: route });
        }
        if !is_connection_lost(error) {
            self.try_report(&self.counters.lock(), Event::DownloadResumed);
        }
    }

    /// Reports that the receiver's user has declined the offer.
    pub(super) fn report_declined(&self) {
        self.events.report(Event::DownloadDeclined(self.status(0, None)));
    }

    /// Reports the end of the download if it was accepted, and then releases its permit.
    pub(super) fn finish(self, result: Result<(), Error>) {
        let ProgressCounters { sent, acknowledged, accepted, .. } = std::mem::take(&mut *self.counters.lock());
        let Some(AcceptedDownload { start, files, total, permit }) = accepted else { return };
        match result {
            Ok(()) => {
                let download = self.status(sent, total);
                let seconds = start.elapsed().as_secs_f64();
                self.events.report(Event::DownloadFinished { download, seconds, files });
                permit.complete();
            }
            Err(e) => {
                let download = self.status(acknowledged, total);
                let (error, kind) = (e.message().to_owned(), e.kind());
                self.events.report(Event::DownloadFailed { download, error, kind });
                drop(permit);
            }
        }
    }

    /// Reports an event that the next one supersedes, if the download was accepted.
    fn try_report(&self, counters: &ProgressCounters, event: impl FnOnce(DownloadStatus) -> Event) {
        if let Some(accepted) = &counters.accepted {
            self.events.report(event(self.status(counters.acknowledged, accepted.total)));
        }
    }

    fn status(&self, bytes: u64, total: Option<u64>) -> DownloadStatus {
        DownloadStatus { number: self.number, peer: receiver_label(self.number), route: self.route(), bytes, total }
    }
}

/// Whether the connection of the whole share is lost. This is reported once for the share and not for each download.
fn is_connection_lost(error: &StreamError) -> bool {
    matches!(error, StreamError::Lost(_))
}
