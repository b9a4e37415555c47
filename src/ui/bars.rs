//! The progress bars on standard error.

mod layout;
mod live_lines;
mod receive_bars;
mod send_bars;
mod transfer_bar;

use std::time::Duration;

use tokio::time::Instant;

use self::{live_lines::LiveLines, receive_bars::ReceiveBars, send_bars::SendBars};
use crate::event::Event;

/// The minimum time between two draws.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// The progress bars of a command.
#[derive(Debug)]
pub(super) struct Bars {
    send: SendBars,
    receive: ReceiveBars,
    screen: LiveLines,
    drawn: Option<Instant>,
}

impl Bars {
    /// Creates an empty set of bars on standard error.
    pub(super) fn new() -> Self {
        Self { send: SendBars::default(), receive: ReceiveBars::default(), screen: LiveLines::new(), drawn: None }
    }

    /// Adds, updates and removes bars for an event.
    pub(super) fn update(&mut self, event: &Event, now: Instant) {
        match event {
            Event::DownloadStarted(download) | Event::DownloadProgress(download) => self.send.advance(download, now),
            Event::DownloadWaiting { download, .. } => self.send.show_waiting(download.number),
            Event::DownloadFinished { download, .. } | Event::DownloadFailed { download, .. } => {
                self.send.remove(download.number);
            }
            Event::Reconnecting { .. } => {
                self.send.show_all_waiting();
                self.receive.show_waiting();
            }
            Event::Checking { bytes, total } => self.receive.advance_checking(*bytes, *total, now),
            Event::Progress { bytes, total, file, .. } => self.receive.advance(*bytes, *total, file.as_deref(), now),
            // A question and the last lines are shown without bars.
            Event::Offer(_) | Event::Finished(_) | Event::Stopped { .. } | Event::Error { .. } => {
                (self.send, self.receive) = (SendBars::default(), ReceiveBars::default());
            }
            _ => {}
        }
    }

    /// Removes the bars from the screen until they are drawn again, so that lines can be written.
    pub(super) fn hide(&mut self) {
        self.screen.draw(Vec::new());
        self.drawn = None;
    }

    /// Draws the bars in the present width of the terminal, unless they were drawn just now.
    pub(super) fn draw(&mut self, now: Instant) {
        if self.drawn.is_none_or(|at| now.saturating_duration_since(at) >= DRAW_INTERVAL) {
            self.screen.draw(self.lines(self.screen.width(), now));
            self.drawn = Some(now);
        }
    }

    /// Whether there is a bar.
    pub(super) fn is_empty(&self) -> bool {
        self.send.is_empty() && self.receive.is_empty()
    }

    fn lines(&self, width: usize, now: Instant) -> Vec<String> {
        self.receive.lines(width, now).chain(self.send.lines(width, now)).collect()
    }
}

#[cfg(test)]
mod tests;
