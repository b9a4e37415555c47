//! The progress of a download, as it is reported to the user.

use std::time::Duration;

use tokio::time::Instant;

use super::file_writer::FileWriter;
use crate::{
    disk::ContentSink,
    event::{Event, Events},
    recent_rate::RecentRate,
    transfer::timeouts::PROGRESS_INTERVAL,
};

/// The interval of the reports of a download that has stalled: its rate falls.
const STALL_INTERVAL: Duration = Duration::from_secs(1);

/// Reports the progress of a download.
pub(super) struct ReceiveProgress<'a> {
    events: &'a Events,
    /// Bytes of content in all, if known.
    total: Option<u64>,
    rate: RecentRate,
    reported: Option<Instant>,
}

impl<'a> ReceiveProgress<'a> {
    /// Starts to measure a download that begins at `bytes`.
    pub(super) fn new(events: &'a Events, bytes: u64, total: Option<u64>) -> Self {
        Self { events, total, rate: RecentRate::new(Instant::now(), bytes), reported: None }
    }

    /// Reports what was written, at most once per [`PROGRESS_INTERVAL`].
    pub(super) fn report_written(&mut self, writer: &FileWriter<impl ContentSink>) {
        self.rate.record(Instant::now(), writer.bytes());
        if self.is_older_than(PROGRESS_INTERVAL) {
            self.report(writer);
        }
    }

    /// Reports that nothing was written, at most once per [`STALL_INTERVAL`].
    pub(super) fn report_stall(&mut self, writer: &FileWriter<impl ContentSink>) {
        if self.reported.is_some() && self.is_older_than(STALL_INTERVAL) {
            self.report(writer);
        }
    }

    /// Reports how much of the staged data is hashed.
    pub(super) fn report_checking(&self, checking: Event) {
        self.events.report(checking);
    }

    /// Reports the present state.
    pub(super) fn report(&mut self, writer: &FileWriter<impl ContentSink>) {
        let now = Instant::now();
        let (bytes, file) = (writer.bytes(), writer.current_path());
        self.rate.record(now, bytes);
        self.reported = Some(now);
        let rate = self.rate.per_second(now);
        self.events.report(Event::Progress { bytes, total: self.total, rate, file });
    }

    fn is_older_than(&self, interval: Duration) -> bool {
        self.reported.is_none_or(|at| at.elapsed() >= interval)
    }
}
