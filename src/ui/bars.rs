//! Progress bars on standard error.
//!
//! A sender has one bar for each of the first [`MOST_BARS`] downloads that run, and a line for the others; a receiver
//! has one bar. Bars are only drawn from here, never from a timer, so that nothing comes between other lines.

use std::{collections::BTreeMap, fmt};

use console::truncate_str;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{phrase::duration, render::via};
use crate::{
    event::{DownloadStatus, Event},
    text::{self, visible},
};

/// More bars than these would push the code off a terminal of 24 lines.
const MOST_BARS: usize = 10;

/// Columns of a label.
const LABEL: usize = 14;

/// Redraws a second.
const DRAWS: u8 = 10;

/// The bars of one command.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    received: Option<ProgressBar>,
    /// What is here already is hashed.
    checking: Option<ProgressBar>,
    downloads: BTreeMap<u64, Option<ProgressBar>>,
    more: Option<ProgressBar>,
}

impl Bars {
    /// No bars yet; they appear on standard error.
    pub(super) fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(DRAWS))
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let all = MultiProgress::with_draw_target(target);
        Self { all, received: None, checking: None, downloads: BTreeMap::new(), more: None }
    }

    /// Makes, moves and removes bars as the event asks.
    pub(super) fn update(&mut self, event: &Event) {
        match event {
            Event::DownloadStarted(download) | Event::DownloadProgress(download) => self.progress(download),
            Event::DownloadWaiting { download, .. } => {
                if let Some(Some(bar)) = self.downloads.get(&download.download) {
                    wait(bar);
                }
            }
            Event::Reconnecting { .. } => self.downloads.values().flatten().chain(&self.received).for_each(wait),
            Event::DownloadFinished { download, .. } | Event::DownloadFailed { download, .. } => {
                self.remove(download.download);
            }
            Event::Checking { bytes, total } => match &self.checking {
                Some(bar) => advance(bar, *bytes, Some(*total)),
                None => self.checking = Some(self.all.add(bar(*bytes, Some(*total), "checking"))),
            },
            Event::Progress { bytes, total } => {
                if let Some(bar) = self.checking.take() {
                    self.take_off(&bar);
                }
                match &self.received {
                    Some(bar) => advance(bar, *bytes, *total),
                    None => self.received = Some(self.all.add(bar(*bytes, *total, ""))),
                }
            }
            // A question, or the last lines, stand alone.
            Event::Offer(_) | Event::Finished(_) | Event::Stopped { .. } | Event::Error { .. } => self.finish(),
            _ => {}
        }
    }

    /// Takes the bars off the screen until [`Bars::draw`], so that lines can be written.
    pub(super) fn hide(&self) {
        let _ = self.all.clear(); // fails only where standard error is closed
    }

    /// Draws the bars again.
    pub(super) fn draw(&self) {
        for bar in self.downloads.values().flatten().chain(&self.checking).chain(&self.received).chain(&self.more) {
            bar.tick();
        }
    }

    /// Removes all bars.
    pub(super) fn finish(&mut self) {
        let downloads = std::mem::take(&mut self.downloads);
        let others = [self.checking.take(), self.received.take(), self.more.take()];
        for bar in downloads.into_values().chain(others).flatten() {
            self.take_off(&bar);
        }
        self.hide();
    }

    fn progress(&mut self, download: &DownloadStatus) {
        if let Some(Some(bar)) = self.downloads.get(&download.download) {
            return advance(bar, download.bytes, download.total);
        }
        let shown = self.downloads.values().flatten().count();
        let new = (shown < MOST_BARS).then(|| {
            let short = label(&download.peer);
            let long = format!("{short} {}", via(download.path));
            let label = if is_narrow(&long) { short.trim_end() } else { &long };
            self.all.insert(shown, bar(download.bytes, download.total, label))
        });
        self.downloads.insert(download.download, new);
        self.count_hidden();
    }

    fn remove(&mut self, download: u64) {
        if let Some(Some(bar)) = self.downloads.remove(&download) {
            self.take_off(&bar);
        }
        self.count_hidden();
    }

    /// Shows how many downloads have no bar. One of them gets a bar with its next progress when there is room.
    fn count_hidden(&mut self) {
        let hidden = self.downloads.values().filter(|bar| bar.is_none()).count();
        if hidden == 0 {
            if let Some(bar) = self.more.take() {
                self.take_off(&bar);
            }
            return;
        }
        let line = self.more.get_or_insert_with(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            self.all.add(line.with_style(style("{msg}")))
        });
        line.set_message(format!("and {hidden} more"));
    }

    fn take_off(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.all.remove(bar);
    }
}

/// A bar that stands at `bytes`; what was there before does not count for its rate.
fn bar(bytes: u64, total: Option<u64>, label: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_position(bytes);
    bar.set_prefix(if label.is_empty() { String::new() } else { format!("{label} ") });
    bar.set_style(moving(total, is_narrow(label)));
    measure_from_here(&bar);
    bar
}

/// Whether the terminal has no room for a bar beside the numbers.
fn is_narrow(label: &str) -> bool {
    /// The numbers, and a bar that is worth it.
    const NEEDED: usize = 62;
    let columns = console::Term::stderr().size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns));
    columns < NEEDED + console::measure_text_width(label)
}

fn moving(total: Option<u64>, narrow: bool) -> ProgressStyle {
    match total {
        Some(_) if narrow => style("{prefix}{percent:>3} %  {amount}  {rate:>10}"),
        Some(_) => style("{prefix}[{wide_bar}] {amount}  {rate:>10}  {left:>12}"),
        None => style("{prefix}{spinner} {amount}  {rate:>10}"),
    }
}

/// Shows that a bar waits for a line: neither its rate nor what is left of time means anything.
fn wait(bar: &ProgressBar) {
    let waiting = match bar.length() {
        Some(_) if is_narrow(&bar.prefix()) => "{prefix}{percent:>3} %  {amount}  waiting",
        Some(_) => "{prefix}[{wide_bar}] {amount}  {wait:>24}",
        None => "{prefix}{spinner} {amount}  waiting",
    };
    bar.set_style(style(waiting));
    bar.set_message(WAITING);
}

/// The message of a bar that waits; nobody sees it.
const WAITING: &str = "waiting";

/// Notes the position, and begins to measure the rate from it.
fn measure_from_here(bar: &ProgressBar) {
    bar.tick();
    bar.reset_eta();
}

fn advance(bar: &ProgressBar, bytes: u64, total: Option<u64>) {
    if let Some(total) = total
        && bar.length() != Some(total)
    {
        bar.set_length(total);
    }
    bar.set_position(bytes);
    if bar.message() == WAITING {
        bar.set_message("");
        bar.set_style(moving(total, is_narrow(&bar.prefix())));
        measure_from_here(bar);
    }
}

/// A label of exactly [`LABEL`] columns.
fn label(peer: &str) -> String {
    let shown = visible(peer);
    console::pad_str(&truncate_str(&shown, LABEL, "…"), LABEL, console::Alignment::Left, None).into_owned()
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar()) // the templates are constants of this file, and tested
        .progress_chars("=> ")
        .with_key("amount", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&amount(state.pos(), state.len()));
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{}/s", text::bytes(state.per_sec() as u64));
        })
        .with_key("wait", |_: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str("waiting for a line");
        })
        .with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&left(state.eta().as_secs_f64()));
        })
}

/// `12 s left`; nothing where there is no rate yet, or one that says little.
fn left(seconds: f64) -> String {
    match seconds {
        ..=0.0 | 360_000.0.. => String::new(),
        ..60.0 => format!("{seconds:.0} s left"),
        _ => format!("{} left", duration(seconds)),
    }
}

fn amount(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} / {}", text::bytes(bytes), text::bytes(total)),
        None => text::bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use console::measure_text_width;
    use indicatif::TermLike;

    use super::*;
    use crate::event::Route;

    /// A terminal of 80 columns that keeps the lines it was sent since it was last looked at.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<Vec<String>>>);

    impl Screen {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().unwrap()).into_iter().filter(|line| !line.trim().is_empty()).collect()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push(text.to_owned());
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn bars() -> (Bars, Screen) {
        let screen = Screen::default();
        (Bars::on(ProgressDrawTarget::term_like(Box::new(screen.clone()))), screen)
    }

    fn download(number: u64, bytes: u64) -> DownloadStatus {
        let peer = format!("receiver {number}");
        DownloadStatus { download: number, peer, path: Route::Relay, bytes, total: Some(999_900_000) }
    }

    /// What is drawn when everything is drawn anew.
    fn drawn(bars: &Bars, screen: &Screen) -> Vec<String> {
        bars.hide();
        screen.take();
        let _ = bars.all.println("x");
        let mut lines = screen.take();
        lines.retain(|line| line.trim() != "x");
        lines
    }

    #[test]
    fn fifty_downloads_have_ten_bars_and_a_line() {
        let (mut bars, screen) = bars();
        for number in 1..=50 {
            bars.update(&Event::DownloadStarted(download(number, 0)));
        }
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert_eq!(lines.len(), MOST_BARS + 1, "{lines:#?}");
        assert!(lines[9].starts_with("receiver 10    via relay ["), "{lines:#?}");
        assert_eq!(lines[10].trim(), "and 40 more");

        bars.update(&Event::DownloadFinished { download: download(1, 9), seconds: 1.0 });
        bars.update(&Event::DownloadProgress(download(44, 9)));
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert_eq!(lines.len(), MOST_BARS + 1, "{lines:#?}");
        assert!(lines[9].starts_with("receiver 44") && lines[10].contains("and 39 more"), "{lines:#?}");

        bars.finish();
        assert_eq!(drawn(&bars, &screen), [""; 0]);
    }

    #[test]
    fn a_bar_fits_80_columns_whatever_the_label() {
        let (mut bars, screen) = bars();
        let peer = "漢字漢字漢字漢字漢字\x1b[2J".to_owned();
        bars.update(&Event::DownloadStarted(DownloadStatus { peer, ..download(1, 999_800_000) }));
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert_eq!(lines.len(), 1);
        assert!(measure_text_width(&lines[0]) <= 80, "{lines:?}");
        assert!(lines[0].contains("999.8 MB / 999.9 MB") && lines[0].contains('…'), "{lines:?}");
        assert!(lines[0].contains(" 0 B/s"), "what was there before has no rate: {lines:?}");
    }

    #[test]
    fn a_receiver_has_one_bar_and_none_before_a_question() {
        let (mut bars, screen) = bars();
        bars.update(&Event::Checking { bytes: 4_000, total: 8_000 });
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert!(lines[0].starts_with("checking [") && lines[0].contains("4.0 kB / 8.0 kB"), "{lines:?}");
        bars.update(&Event::Progress { bytes: 5_000, total: None });
        bars.draw();
        assert_eq!(drawn(&bars, &screen).len(), 1, "everything is checked");
        assert!(drawn(&bars, &screen)[0].contains("5.0 kB  "));
        bars.update(&Event::Progress { bytes: 6_000, total: Some(12_000) });
        bars.update(&Event::Reconnecting { attempt: 1, reason: "r".into() });
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert!(lines[0].contains("6.0 kB / 12.0 kB") && lines[0].contains("waiting for a line"), "{lines:?}");
        assert!(!lines[0].contains("/s"), "{lines:?}");
        bars.update(&Event::Progress { bytes: 6_500, total: Some(12_000) });
        bars.draw();
        let lines = drawn(&bars, &screen);
        assert!(lines[0].contains("0 B/s") && !lines[0].contains("waiting"), "{lines:?}");
        bars.update(&Event::Warning { kind: "k", message: "m".into(), hint: None });
        assert!(bars.received.is_some());
        bars.update(&Event::Error { kind: crate::error::Kind::Disk, message: "m".into(), hint: None });
        assert!(bars.received.is_none());
        assert_eq!(drawn(&bars, &screen), [""; 0]);
    }

    #[test]
    fn the_time_left_is_short() {
        assert_eq!(left(0.0), "");
        assert_eq!(left(12.4), "12 s left");
        assert_eq!(left(125.0), "2 min 5 s left");
        assert_eq!(left(1e12), "");
    }

    #[test]
    fn the_templates_are_good() {
        for template in [
            "{prefix}[{wide_bar}] {amount}  {rate:>10}  {left:>12}",
            "{prefix}[{wide_bar}] {amount}  {wait:>24}",
            "{prefix}{percent:>3} %  {amount}  {rate:>10}",
            "{prefix}{spinner} {amount}",
            "{msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
