//! The progress bars of a sender: one for each of the first downloads, and a line that counts the others.

use std::{collections::BTreeMap, mem};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::{
    layout::{TEXT, fixed_width_label, is_narrow, style},
    transfer_bar::TransferBar,
};
use crate::{event::DownloadStatus, ui::phrase::via};

/// The maximum number of bars. More would push the code off a terminal of 24 lines.
pub(super) const MAX_BARS: usize = 10;

/// The progress bars of a sender.
#[derive(Debug, Default)]
pub(super) struct SendBars {
    /// The running downloads by number; those beyond [`MAX_BARS`] have no bar.
    downloads: BTreeMap<u64, Option<TransferBar>>,
    /// The line that counts the downloads without a bar.
    hidden_count: Option<ProgressBar>,
}

impl SendBars {
    /// Shows the progress of a download. A download without a bar gets one if there is room.
    pub(super) fn advance(&mut self, group: &MultiProgress, download: &DownloadStatus) {
        if let Some(Some(bar)) = self.downloads.get_mut(&download.number) {
            return bar.advance(download.bytes, download.total);
        }
        let shown = self.downloads.values().flatten().count();
        let bar = (shown < MAX_BARS)
            .then(|| TransferBar::add_to(group, Some(shown), &label(download), download.bytes, download.total));
        self.downloads.insert(download.number, bar);
        self.update_hidden_count(group);
    }

    /// Shows that a download waits for its receiver to reconnect.
    pub(super) fn show_waiting(&mut self, number: u64) {
        if let Some(Some(bar)) = self.downloads.get_mut(&number) {
            bar.show_waiting();
        }
    }

    /// Shows that all downloads wait for the sender's connection.
    pub(super) fn show_all_waiting(&mut self) {
        self.downloads.values_mut().flatten().for_each(TransferBar::show_waiting);
    }

    pub(super) fn remove(&mut self, group: &MultiProgress, number: u64) {
        if let Some(Some(bar)) = self.downloads.remove(&number) {
            bar.remove_from(group);
        }
        self.update_hidden_count(group);
    }

    pub(super) fn draw(&self) {
        self.downloads.values().flatten().for_each(TransferBar::draw);
        self.hidden_count.iter().for_each(ProgressBar::tick);
    }

    pub(super) fn clear(&mut self, group: &MultiProgress) {
        for bar in mem::take(&mut self.downloads).into_values().flatten() {
            bar.remove_from(group);
        }
        self.remove_hidden_count(group);
    }

    fn update_hidden_count(&mut self, group: &MultiProgress) {
        let hidden = self.downloads.values().filter(|bar| bar.is_none()).count();
        if hidden == 0 {
            return self.remove_hidden_count(group);
        }
        let line = self.hidden_count.get_or_insert_with(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            group.add(line.with_style(style(TEXT)))
        });
        line.set_message(format!("and {hidden} more"));
    }

    fn remove_hidden_count(&mut self, group: &MultiProgress) {
        if let Some(line) = self.hidden_count.take() {
            line.finish_and_clear();
            group.remove(&line);
        }
    }
}

/// Returns the receiver's label, with the route if there is room.
fn label(download: &DownloadStatus) -> String {
    let short = fixed_width_label(&download.peer);
    let long = format!("{short} {}", via(download.route));
    if is_narrow(&long) { short.trim_end().to_owned() } else { long }
}
