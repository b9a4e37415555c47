//! The progress bars of a receiver: one for hashing staged data, then one for the download.

use indicatif::MultiProgress;

use super::transfer_bar::TransferBar;

/// The progress bars of a receiver.
#[derive(Debug, Default)]
pub(super) struct ReceiveBars {
    checking: Option<TransferBar>,
    download: Option<TransferBar>,
}

impl ReceiveBars {
    /// Shows how much of the staged data is hashed.
    pub(super) fn advance_checking(&mut self, group: &MultiProgress, bytes: u64, total: u64) {
        match &mut self.checking {
            Some(bar) => bar.advance(bytes, Some(total)),
            None => self.checking = Some(TransferBar::add_to(group, None, "checking", bytes, Some(total))),
        }
    }

    /// Shows the progress of the download.
    pub(super) fn advance(&mut self, group: &MultiProgress, bytes: u64, total: Option<u64>) {
        if let Some(bar) = self.checking.take() {
            bar.remove_from(group);
        }
        match &mut self.download {
            Some(bar) => bar.advance(bytes, total),
            None => self.download = Some(TransferBar::add_to(group, None, "", bytes, total)),
        }
    }

    /// Shows that the download waits for a connection.
    pub(super) fn show_waiting(&mut self) {
        self.download.iter_mut().for_each(TransferBar::show_waiting);
    }

    pub(super) fn draw(&self) {
        self.checking.iter().chain(&self.download).for_each(TransferBar::draw);
    }

    pub(super) fn clear(&mut self, group: &MultiProgress) {
        for bar in self.checking.take().into_iter().chain(self.download.take()) {
            bar.remove_from(group);
        }
    }
}

#[cfg(test)]
impl ReceiveBars {
    pub(super) fn is_downloading(&self) -> bool {
        self.download.is_some()
    }
}
