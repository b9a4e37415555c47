//! Renders events as text for people. It is pure: the same events and the same [`Appearance`] give the same lines.

use std::{collections::HashMap, time::Duration};

use super::{
    appearance::Appearance,
    diagnosis, download_lines,
    lines::Lines,
    listing, offer,
    phrase::{self, visible_lines, visible_whole},
    relay_usage::{relay_listening, stored_relay},
    saved::saved,
    sharing::sharing,
};
use crate::{event::Event, text::visible};

/// Renders events. It stores how many bytes were staged when a download began, because rates do not count them.
#[derive(Debug)]
pub(super) struct Renderer {
    look: Appearance,
    /// The staged bytes of the receiver's download.
    resumed_bytes: u64,
    /// Whether the receiver's download is a text that is shown, so that it is its own result.
    shows_text: bool,
    /// The staged bytes of the sender's downloads, by number.
    start_bytes: HashMap<u64, u64>,
}

impl Renderer {
    /// Adapts to a terminal that has another size now.
    pub(super) fn set_width(&mut self, width: usize) {
        self.look.width = width;
    }

    pub(super) fn new(look: Appearance) -> Self {
        Self { look, resumed_bytes: 0, shows_text: false, start_bytes: HashMap::new() }
    }

    /// Whether the download is a text that is shown.
    pub(super) fn shows_text(&self) -> bool {
        self.shows_text
    }

    /// Returns the lines of one event. Progress has none: the bars show it.
    pub(super) fn lines(&mut self, event: &Event) -> Lines {
        let mut lines = Lines::default();
        match event {
            Event::RelayListening { addr, addresses, pin } => {
                return relay_listening(addr, addresses, pin, &self.look);
            }
            Event::StoredRelay { folder, addr, addresses, pin } => {
                lines.out(stored_relay(folder, addr, addresses, pin, self.look.quiet));
            }
            Event::Sharing(share) => return sharing(share, &self.look),
            Event::Text { text } => lines.out(text_lines(text, &self.look)),
            Event::Finished(_) if self.shows_text => {}
            Event::Finished(finished) => return saved(finished, self.resumed_bytes, &self.look),
            Event::ConfigPath { path } => lines.out(format!("{path}\n")),
            Event::Config { settings, .. } => lines.out(diagnosis::settings(settings)),
            Event::Check(check) => lines.out(diagnosis::check(check, &self.look)),
            Event::Entries { entries } => lines.out(listing::entries(entries, &self.look)),
            Event::Parts { parts } if !parts.is_empty() => {
                lines.out(parts.iter().map(|part| listing::interrupted_download(part, &self.look)).collect());
            }
            Event::Shares { shares } if !shares.is_empty() => {
                lines.out(shares.iter().map(|share| listing::share(share, &self.look)).collect());
            }
            Event::Error { message, hint, .. } => {
                lines.err(self.wrapped(&phrase::error(message, hint.as_deref(), self.look.color_err)));
            }
            _ => {
                if let Some(text) = self.message(event).filter(|_| !self.look.quiet) {
                    lines.err(self.wrapped(&text));
                }
            }
        }
        lines
    }

    /// Wraps a message for the terminal of standard error.
    fn wrapped(&self, text: &str) -> String {
        if self.look.err_terminal { phrase::wrapped(text, self.look.width) } else { text.to_owned() }
    }

    /// Returns the text of an event that is neither a result nor an error.
    fn message(&mut self, event: &Event) -> Option<String> {
        let color = self.look.color_err;
        match event {
            Event::DownloadStarted(download) => {
                self.start_bytes.insert(download.number, download.bytes);
                (!self.look.bars).then(|| download_lines::started(download))
            }
            Event::DownloadFinished { download, seconds, files } => {
                let start_bytes = self.start_bytes.remove(&download.number).unwrap_or_default();
                Some(download_lines::finished(download, start_bytes, *seconds, *files))
            }
            Event::DownloadFailed { download, error, .. } => {
                self.start_bytes.remove(&download.number);
                Some(download_lines::failed(download, error, color))
            }
            Event::DownloadDeclined(download) => Some(download_lines::declined(download)),
            Event::Declined => Some("Declined.\n".to_owned()),
            Event::DownloadWaiting { download, reason } => Some(download_lines::waiting(download, reason)),
            Event::DownloadResumed(download) => Some(download_lines::resumed(download)),
            Event::WrongCode { peer, guesses_left, .. } => {
                Some(phrase::warning(&download_lines::wrong_code(peer, *guesses_left), None, color))
            }
            Event::Stopped { reason } => Some(download_lines::stopped(*reason).to_owned()),
            Event::Offer(offer) => {
                self.resumed_bytes = offer.resumed_bytes;
                self.shows_text = offer.text && offer.target.is_none();
                (!self.shows_text).then(|| offer::summary(offer, self.look.width))
            }
            Event::Connecting { relay } => Some(format!("Connecting to relay {}…\n", visible(relay))),
            Event::Waiting { seconds } => {
                let time = humantime::format_duration(Duration::from_secs(*seconds));
                Some(format!("No sender has this code yet; waiting for up to {time}…\n"))
            }
            Event::Reconnecting { attempt: 1, reason } => {
                Some(phrase::warning(&format!("{}; reconnecting…", visible_lines(reason)), None, color))
            }
            Event::Reconnected { .. } => Some("Reconnected.\n".to_owned()),
            Event::Path { download: Some(number), path } => {
                Some(format!("receiver {number}: continues{}\n", phrase::via(*path)))
            }
            Event::Path { download: None, path } => Some(format!("The download continues{}.\n", phrase::via(*path))),
            Event::Parts { .. } => Some("No interrupted downloads.\n".to_owned()),
            Event::Cleared(part) => {
                Some(format!("Removed {}\n", visible_whole(part.name.as_ref().unwrap_or(&part.path))))
            }
            Event::Shares { .. } => Some("No shares.\n".to_owned()),
            Event::Forgotten(share) => Some(format!("Forgot {}\n", visible(&share.name))),
            Event::Warning { message, hint, .. } => Some(phrase::warning(message, hint.as_deref(), color)),
            _ => None,
        }
    }
}

/// Returns a text from the other side. Control characters, except line feeds and tabs, are visible at a terminal; a
/// script gets the text unchanged.
fn text_lines(text: &str, look: &Appearance) -> String {
    if !look.out_terminal {
        return text.to_owned();
    }
    let visible_line = |line: &str| line.split('\t').map(visible_whole).collect::<Vec<_>>().join("\t") + "\n";
    text.lines().map(visible_line).collect()
}

#[cfg(test)]
mod tests;
