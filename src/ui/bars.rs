//! The progress bars on standard error.
//!
//! Bars are drawn only when an event arrives, never by a timer, so that they cannot mix with other lines.

mod layout;
mod receive_bars;
mod send_bars;
mod transfer_bar;

use indicatif::{MultiProgress, ProgressDrawTarget};

use self::{receive_bars::ReceiveBars, send_bars::SendBars};
use crate::event::Event;

/// Redraws per second.
const DRAW_RATE: u8 = 10;

/// The progress bars of a command.
#[derive(Debug)]
pub(super) struct Bars {
    group: MultiProgress,
    send: SendBars,
    receive: ReceiveBars,
}

impl Bars {
    /// Creates an empty set of bars on standard error.
    pub(super) fn new() -> Self {
        Self::with_target(ProgressDrawTarget::stderr_with_hz(DRAW_RATE))
    }

    fn with_target(target: ProgressDrawTarget) -> Self {
        let group = MultiProgress::with_draw_target(target);
        Self { group, send: SendBars::default(), receive: ReceiveBars::default() }
    }

    /// Adds, updates and removes bars for an event.
    pub(super) fn update(&mut self, event: &Event) {
        let group = &self.group;
        match event {
            Event::DownloadStarted(download) | Event::DownloadProgress(download) => self.send.advance(group, download),
            Event::DownloadWaiting { download, .. } => self.send.show_waiting(download.number),
            Event::DownloadFinished { download, .. } | Event::DownloadFailed { download, .. } => {
                self.send.remove(group, download.number);
            }
            Event::Reconnecting { .. } => {
                self.send.show_all_waiting();
                self.receive.show_waiting();
            }
            Event::Checking { bytes, total } => self.receive.advance_checking(group, *bytes, *total),
            Event::Progress { bytes, total } => self.receive.advance(group, *bytes, *total),
            // A question and the last lines are shown without bars.
            Event::Offer(_) | Event::Finished(_) | Event::Stopped { .. } | Event::Error { .. } => self.clear(),
            _ => {}
        }
    }

    /// Hides the bars until [`Bars::draw`], so that lines can be written.
    pub(super) fn hide(&self) {
        let _ = self.group.clear(); // fails only if standard error is closed
    }

    /// Draws the bars.
    pub(super) fn draw(&self) {
        self.send.draw();
        self.receive.draw();
    }

    /// Removes all bars.
    pub(super) fn clear(&mut self) {
        self.send.clear(&self.group);
        self.receive.clear(&self.group);
        self.hide();
    }
}

#[cfg(test)]
mod tests;
