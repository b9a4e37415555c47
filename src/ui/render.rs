//! Events as text for people. Pure: the same events and the same [`Appearance`] give the same lines.

use std::collections::HashMap;

use console::Style;

use super::{
    listing,
    phrase::{INDENT, bytes_in, files_and_bytes, message, paint, rate, visible_whole},
    share,
};
use crate::{
    event::{DownloadStatus, Event, Finished, OfferSummary, Route, StopReason},
    text::{self, visible},
};

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Text for the two streams, in the order in which it is written.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(Stream, String)>);

impl Lines {
    pub(super) fn out(&mut self, text: String) {
        self.0.push((Stream::Out, text));
    }

    pub(super) fn err(&mut self, text: String) {
        self.0.push((Stream::Err, text));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Stream, &str)> {
        self.0.iter().map(|(stream, text)| (*stream, text.as_str()))
    }
}

/// What decides how events look.
#[derive(Debug, Clone)]
pub(super) struct Appearance {
    /// Standard output is a terminal.
    pub(super) out_terminal: bool,
    /// Standard error is a terminal.
    pub(super) err_terminal: bool,
    /// Colors on standard output.
    pub(super) color_out: bool,
    /// Colors on standard error.
    pub(super) color_err: bool,
    /// There are bars, so that the start of a download needs no line.
    pub(super) bars: bool,
    /// Only results and errors.
    pub(super) quiet: bool,
    /// The link as a QR code.
    pub(super) qr: bool,
    /// Columns of the terminal.
    pub(super) width: usize,
}

/// Turns events into lines. It remembers what was there before a transfer began, so that rates count only what was
/// transferred.
#[derive(Debug)]
pub(super) struct Renderer {
    look: Appearance,
    resumed: u64,
    begun: HashMap<u64, u64>,
}

impl Renderer {
    pub(super) fn new(look: Appearance) -> Self {
        Self { look, resumed: 0, begun: HashMap::new() }
    }

    /// The lines of one event; none for progress, which is the bars' business.
    pub(super) fn lines(&mut self, event: &Event) -> Lines {
        let mut lines = Lines::default();
        match event {
            Event::RelayListening { addr, pin } => return share::relay_listening(addr, pin, &self.look),
            Event::Sharing(sharing) => return share::sharing(sharing, &self.look),
            Event::Entries { entries } => lines.out(listing::table(entries)),
            Event::Parts { parts } if parts.is_empty() => {
                if !self.look.quiet {
                    lines.err("No download has left anything there.\n".to_owned());
                }
            }
            Event::Parts { parts } => lines.out(parts.iter().map(listing::part).collect()),
            Event::Shares { shares } if shares.is_empty() => {
                if !self.look.quiet {
                    lines.err("No shares are kept.\n".to_owned());
                }
            }
            Event::Shares { shares } => lines.out(shares.iter().map(listing::kept).collect()),
            Event::Finished(finished) => return self.finished(finished),
            Event::Error { message, hint, .. } => lines.err(self.error(message, hint.as_deref())),
            _ => {
                if let Some(text) = self.message(event).filter(|_| !self.look.quiet) {
                    lines.err(text);
                }
            }
        }
        lines
    }

    /// What is neither a result nor an error.
    fn message(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::DownloadStarted(download) => {
                self.begun.insert(download.download, download.bytes);
                (!self.look.bars).then(|| format!("{}: downloading {}\n", label(download), via(download.path)))
            }
            Event::DownloadFinished { download, seconds } => {
                let before = self.begun.remove(&download.download).unwrap_or_default();
                let took = bytes_in(download.bytes, *seconds);
                let rate = rate(download.bytes.saturating_sub(before), *seconds);
                let rate = rate.map(|rate| format!(" ({rate})")).unwrap_or_default();
                Some(format!("{}: done, {took}{rate} {}\n", label(download), via(download.path)))
            }
            Event::DownloadWaiting { download, reason } => {
                Some(format!("{}: waiting for its line: {}\n", label(download), message(reason)))
            }
            Event::DownloadFailed { download, error, .. } => {
                self.begun.remove(&download.download);
                Some(self.failed(download, error))
            }
            Event::WrongCode { peer, guesses_left, .. } => {
                let left = match guesses_left {
                    0 => "no guesses left: the next ones have to wait".to_owned(),
                    1 => "1 guess left before a pause".to_owned(),
                    n => format!("{n} guesses left before a pause"),
                };
                Some(self.warning(&format!("{} came with a wrong code; {left}", visible(peer)), None))
            }
            Event::Offer(offer) => {
                self.resumed = offer.resumed_bytes;
                Some(offered(offer))
            }
            Event::DownloadResumed(download) => Some(format!("{}: its line is back\n", label(download))),
            Event::Connecting { relay } => Some(format!("Connecting to the relay {} …\n", visible(relay))),
            Event::Reconnecting { attempt: 1, reason } => {
                Some(self.warning(&format!("{}; trying to go on", message(reason)), None))
            }
            Event::Reconnected { .. } => Some("Going on.\n".to_owned()),
            Event::Cleared(part) => Some(format!("Removed {}\n", visible_whole(&part.path))),
            Event::Forgotten(kept) => Some(format!("Forgotten: {}\n", visible(&kept.name))),
            Event::Warning { message: text, hint, .. } => Some(self.warning(&message(text), hint.as_deref())),
            Event::Stopped { reason } => Some(format!("{}\n", stopped(*reason))),
            _ => None,
        }
    }

    fn failed(&self, download: &DownloadStatus, error: &str) -> String {
        let of = download.total.map(|total| format!(" of {}", text::bytes(total))).unwrap_or_default();
        let word = paint("failed", Style::new().yellow(), self.look.color_err);
        format!("{}: {word} after {}{of}: {}\n", label(download), text::bytes(download.bytes), message(error))
    }

    fn warning(&self, text: &str, hint: Option<&str>) -> String {
        let word = paint("warning:", Style::new().yellow().bold(), self.look.color_err);
        format!("{word} {text}\n{}", hint_line(hint))
    }

    fn error(&self, text: &str, hint: Option<&str>) -> String {
        let word = paint("error:", Style::new().red().bold(), self.look.color_err);
        format!("{word} {}\n{}", message(text), hint_line(hint))
    }

    /// A script gets the paths, one a line; nothing where the content itself went to standard output.
    fn finished(&self, finished: &Finished) -> Lines {
        let Finished { bytes, seconds, saved, files, .. } = finished;
        let mut lines = Lines::default();
        let rate = rate(bytes.saturating_sub(self.resumed), *seconds);
        let rate = rate.map(|rate| format!(", {rate}")).unwrap_or_default();
        let took = bytes_in(*bytes, *seconds) + &rate;
        if saved.iter().all(|path| path == "-") {
            if !self.look.quiet {
                lines.err(format!("Written to standard output: {took}\n"));
            }
            return lines;
        }
        if self.look.out_terminal && !self.look.quiet {
            lines.out(saved_text(saved, *files, &took));
            return lines;
        }
        let shown = |path: &String| if self.look.out_terminal { visible_whole(path) } else { path.clone() };
        lines.out(saved.iter().map(|path| shown(path) + "\n").collect());
        if !self.look.quiet {
            lines.err(format!("Saved {}: {took}\n", text::count(*files, "file")));
        }
        lines
    }
}

fn saved_text(saved: &[String], files: u64, took: &str) -> String {
    let files = text::count(files, "file");
    match saved {
        [path] => format!("Saved {} ({files}, {took})\n", visible_whole(path)),
        paths => {
            let list: String = paths.iter().map(|path| format!("{INDENT}{}\n", visible_whole(path))).collect();
            format!("Saved {files}, {took}:\n{list}")
        }
    }
}

/// The summary of an offer: a line or two or three.
fn offered(offer: &OfferSummary) -> String {
    let mut text = format!("{}: {}\n", visible(&offer.name), files_and_bytes(offer.files, offer.bytes));
    match (offer.hidden, offer.executables) {
        (0, 0) => {}
        (hidden, 0) => text.push_str(&format!("including {}\n", text::count(hidden, "hidden file"))),
        (0, executable) => text.push_str(&format!("including {}\n", text::count(executable, "executable file"))),
        (hidden, executable) => {
            text.push_str(&format!("including {hidden} hidden and {}\n", text::count(executable, "executable file")));
        }
    }
    if offer.resumed_bytes > 0 {
        let here = text::bytes(offer.resumed_bytes);
        match offer.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => {
                let percent = u128::from(offer.resumed_bytes) * 100 / u128::from(bytes);
                text.push_str(&format!("resuming at {percent} %: {here} of it are here already\n"));
            }
            None => text.push_str(&format!("{here} of it are here already\n")),
        }
    }
    text
}

/// What to ask about an offer; `whole` where its summary was not shown before.
pub(super) fn question(offer: &OfferSummary, whole: bool) -> String {
    if whole { format!("{}Download?", offered(offer)) } else { "Download?".to_owned() }
}

fn hint_line(hint: Option<&str>) -> String {
    hint.map(|hint| format!("hint: {}\n", message(hint))).unwrap_or_default()
}

fn label(download: &DownloadStatus) -> String {
    visible(&download.peer)
}

/// The way of a download in words.
pub(super) fn via(route: Route) -> &'static str {
    match route {
        Route::Relay => "via relay",
    }
}

fn stopped(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Once => "The download is done; the share has ended.",
        StopReason::MaxDownloads => "All downloads are done; the share has ended.",
        StopReason::Expired => "The time is up; the share has ended.",
        StopReason::Interrupted => "Stopped.",
    }
}

#[cfg(test)]
impl Lines {
    /// What goes to one stream.
    pub(super) fn of(&self, stream: Stream) -> String {
        self.iter().filter(|(to, _)| *to == stream).map(|(_, text)| text).collect()
    }

    /// What a terminal shows of both.
    pub(super) fn all(&self) -> String {
        self.iter().map(|(_, text)| text).collect()
    }
}

#[cfg(test)]
impl Appearance {
    /// Everything on a terminal of 80 columns without colors.
    pub(super) fn terminal() -> Self {
        Self {
            out_terminal: true,
            err_terminal: true,
            color_out: false,
            color_err: false,
            bars: true,
            quiet: false,
            qr: false,
            width: 80,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};

    const HOSTILE: &str = "evil\x1b[2J\u{202e}\r\n";
    const HARMLESS: &str = "evil\\u{1b}[2J\\u{202e}\\u{d}\\u{a}";

    fn shown(look: Appearance, event: &Event) -> String {
        Renderer::new(look).lines(event).all()
    }

    fn download(peer: &str, bytes: u64) -> DownloadStatus {
        DownloadStatus { download: 3, peer: peer.into(), path: Route::Relay, bytes, total: Some(2_000) }
    }

    fn offer(hidden: u64, executables: u64) -> OfferSummary {
        OfferSummary {
            schema: 1,
            share: "00ff".into(),
            name: "holiday".into(),
            files: 214,
            bytes: Some(1_300_000_000),
            resumed_bytes: 0,
            hidden,
            executables,
        }
    }

    fn finished(saved: &[&str]) -> Event {
        let saved = saved.iter().map(ToString::to_string).collect();
        Event::Finished(Finished { bytes: 1_300_000_000, seconds: 12.1, saved, files: 214, path: Route::Relay })
    }

    #[test]
    fn a_download_is_a_line_at_its_end() {
        let mut renderer = Renderer::new(Appearance::terminal());
        assert!(renderer.lines(&Event::DownloadStarted(download("receiver 3", 1_000))).is_empty());
        assert!(renderer.lines(&Event::DownloadProgress(download("receiver 3", 1_500))).is_empty());
        let done = Event::DownloadFinished { download: download("receiver 3", 2_000), seconds: 2.0 };
        assert_eq!(
            renderer.lines(&done).of(Stream::Err),
            "receiver 3: done, 2.0 kB in 2.0 s (500 B/s) via relay\n",
            "what was there before does not count for the rate"
        );
        let look = Appearance { bars: false, ..Appearance::terminal() };
        let started = Event::DownloadStarted(download("receiver 3", 0));
        assert_eq!(shown(look, &started), "receiver 3: downloading via relay\n");
    }

    #[test]
    fn failures_and_wrong_codes_say_what_happened() {
        let failed = Event::DownloadFailed {
            download: download("receiver 3", 1_500),
            error: "the receiver is gone".into(),
            kind: Kind::Network,
        };
        let line = "receiver 3: failed after 1.5 kB of 2.0 kB: the receiver is gone\n";
        assert_eq!(shown(Appearance::terminal(), &failed), line);
        for (guesses_left, part) in [(0, "; no guesses left"), (1, "; 1 guess left"), (4, "; 4 guesses left")] {
            let event = Event::WrongCode { download: 4, peer: "receiver 4".into(), guesses_left };
            let line = shown(Appearance::terminal(), &event);
            assert!(line.starts_with("warning: receiver 4 came with a wrong code") && line.contains(part), "{line}");
        }
    }

    #[test]
    fn an_offer_counts_what_needs_a_look() {
        let text = |offer| shown(Appearance::terminal(), &Event::Offer(offer));
        assert_eq!(text(offer(0, 0)), "holiday: 214 files, 1.3 GB\n");
        assert_eq!(text(offer(1, 0)), "holiday: 214 files, 1.3 GB\nincluding 1 hidden file\n");
        assert_eq!(text(offer(0, 2)), "holiday: 214 files, 1.3 GB\nincluding 2 executable files\n");
        assert_eq!(text(offer(3, 2)), "holiday: 214 files, 1.3 GB\nincluding 3 hidden and 2 executable files\n");
        let resumed = OfferSummary { resumed_bytes: 5_000, ..offer(0, 0) };
        assert!(text(resumed).ends_with("\nresuming at 0 %: 5.0 kB of it are here already\n"));
    }

    #[test]
    fn a_question_without_a_summary_carries_it() {
        assert_eq!(question(&offer(0, 0), false), "Download?");
        assert_eq!(question(&offer(0, 0), true), "holiday: 214 files, 1.3 GB\nDownload?");
    }

    #[test]
    fn what_was_saved_is_a_sentence_or_a_list_of_paths() {
        let look = Appearance::terminal();
        let (one, two) = (finished(&["holiday"]), finished(&["a", "b"]));
        assert_eq!(shown(look.clone(), &one), "Saved holiday (214 files, 1.3 GB in 12.1 s, 107.4 MB/s)\n");
        assert_eq!(shown(look.clone(), &two), "Saved 214 files, 1.3 GB in 12.1 s, 107.4 MB/s:\n  a\n  b\n");
        let piped = Renderer::new(Appearance { out_terminal: false, ..look.clone() }).lines(&two);
        assert_eq!(piped.of(Stream::Out), "a\nb\n");
        assert_eq!(piped.of(Stream::Err), "Saved 214 files: 1.3 GB in 12.1 s, 107.4 MB/s\n");
        assert_eq!(shown(Appearance { quiet: true, ..look.clone() }, &two), "a\nb\n");
        let content = Renderer::new(look).lines(&finished(&["-"]));
        assert_eq!(content.of(Stream::Out), "", "the content went there");
    }

    #[test]
    fn errors_and_warnings_have_their_hint_below() {
        let error = Event::from(&Error::new(Kind::Disk, "no space").hint("make some"));
        assert_eq!(shown(Appearance::terminal(), &error), "error: no space\nhint: make some\n");
        let warning = Event::Warning { kind: "k", message: "two\nlines".into(), hint: None };
        assert_eq!(shown(Appearance::terminal(), &warning), "warning: two\nlines\n");
        let colored = shown(Appearance { color_err: true, ..Appearance::terminal() }, &error);
        assert!(colored.starts_with("\x1b[31m\x1b[1merror:\x1b[0m no space"), "{colored:?}");
    }

    #[test]
    fn quiet_leaves_results_and_errors() {
        let quiet = || Appearance { quiet: true, bars: false, ..Appearance::terminal() };
        let warning = Event::Warning { kind: "k", message: "m".into(), hint: None };
        let stopped = Event::Stopped { reason: StopReason::Once };
        for event in [warning, stopped, Event::Offer(offer(1, 1)), Event::DownloadStarted(download("r", 0))] {
            assert_eq!(shown(quiet(), &event), "");
        }
        let error = Event::from(&Error::new(Kind::Disk, "no space"));
        assert_eq!(shown(quiet(), &error), "error: no space\n");
    }

    #[test]
    fn nothing_from_the_other_side_reaches_the_terminal_as_it_is() {
        let name = || HOSTILE.to_owned();
        let events = [
            Event::Offer(OfferSummary { name: name(), ..offer(0, 0) }),
            Event::DownloadFinished { download: download(HOSTILE, 1), seconds: 1.0 },
            Event::WrongCode { download: 1, peer: name(), guesses_left: 1 },
            finished(&[HOSTILE]),
            finished(&[HOSTILE, "b"]),
        ];
        for event in events {
            let text = shown(Appearance::terminal(), &event);
            assert!(text.contains(HARMLESS), "{text:?}");
            assert!(!text.contains(['\x1b', '\r', '\u{202e}']), "{text:?}");
        }
    }

    #[test]
    fn every_reason_to_stop_has_words() {
        for reason in [StopReason::Once, StopReason::MaxDownloads, StopReason::Expired, StopReason::Interrupted] {
            assert!(shown(Appearance::terminal(), &Event::Stopped { reason }).ends_with(".\n"));
        }
    }
}
