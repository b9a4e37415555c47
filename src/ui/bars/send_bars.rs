//! The progress of a sender: a bar for each of the first downloads, and a line that counts the others.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{layout, transfer_bar::TransferBar};
use crate::event::DownloadStatus;

/// The maximum number of bars. More would push the code off a terminal of 24 lines.
pub(super) const MAX_BARS: usize = 10;

/// The bars of a sender, by the number of the download.
#[derive(Debug, Default)]
pub(super) struct SendBars(BTreeMap<u64, SendBar>);

#[derive(Debug)]
struct SendBar {
    peer: String,
    bar: TransferBar,
}

impl SendBars {
    /// Shows the progress of a download.
    pub(super) fn advance(&mut self, download: &DownloadStatus, now: Instant) {
        let DownloadStatus { number, peer, bytes, total, .. } = download;
        let start = || SendBar { peer: peer.clone(), bar: TransferBar::new(*bytes, *total, now) };
        self.0.entry(*number).or_insert_with(start).bar.advance(*bytes, *total, now);
    }

    /// Shows that a download waits for its receiver to reconnect.
    pub(super) fn show_waiting(&mut self, number: u64) {
        if let Some(shown) = self.0.get_mut(&number) {
            shown.bar.show_waiting();
        }
    }

    /// Shows that all downloads wait for the sender's connection.
    pub(super) fn show_all_waiting(&mut self) {
        self.0.values_mut().for_each(|shown| shown.bar.show_waiting());
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.0.remove(&number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the lines of the bars.
    pub(super) fn lines(&self, width: usize, now: Instant) -> impl Iterator<Item = String> {
        let line = move |shown: &SendBar| layout::line(&layout::label(&shown.peer, width), &shown.bar, width, now);
        let bars = self.0.values().take(MAX_BARS).map(line);
        let more = self.0.len().saturating_sub(MAX_BARS);
        bars.chain((more > 0).then(|| format!("and {more} more")))
    }
}
