//! The progress of a receiver: first of hashing staged data, then of the download.

use tokio::time::Instant;

use super::{layout, transfer_bar::TransferBar};
use crate::ui::phrase::{fit, visible_whole};

/// The width in columns from which the current file has a line of its own.
const MIN_WIDTH_FOR_FILE: usize = 60;

/// The bars of a receiver.
#[derive(Debug, Default)]
pub(super) struct ReceiveBars {
    checking: Option<TransferBar>,
    download: Option<TransferBar>,
    /// The path of the file that is being downloaded, printable.
    file: Option<String>,
}

impl ReceiveBars {
    /// Shows how much of the staged data is hashed.
    pub(super) fn advance_checking(&mut self, bytes: u64, total: u64, now: Instant) {
        let start = || TransferBar::new(bytes, Some(total), now);
        self.checking.get_or_insert_with(start).advance(bytes, Some(total), now);
    }

    /// Shows the progress of the download.
    pub(super) fn advance(&mut self, bytes: u64, total: Option<u64>, file: Option<&str>, now: Instant) {
        self.checking = None;
        let start = || TransferBar::new(bytes, total, now);
        self.download.get_or_insert_with(start).advance(bytes, total, now);
        self.file = file.map(visible_whole);
    }

    /// Shows that the download waits for a connection.
    pub(super) fn show_waiting(&mut self) {
        self.download.iter_mut().for_each(TransferBar::show_waiting);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.checking.is_none() && self.download.is_none()
    }

    /// Returns the lines of the bars.
    pub(super) fn lines(&self, width: usize, now: Instant) -> impl Iterator<Item = String> {
        let file = self.file.as_deref().filter(|_| width >= MIN_WIDTH_FOR_FILE).map(|file| fit(file, width));
        let checking = self.checking.iter().map(|bar| ("checking", bar));
        let bars = checking.chain(self.download.iter().map(|bar| ("", bar)));
        let bars = bars.map(move |(label, bar)| layout::line(label, bar, width, now));
        file.into_iter().chain(bars)
    }
}
