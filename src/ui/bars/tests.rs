//! Tests of the progress bars as a terminal shows them.

use std::{
    io,
    sync::{Arc, Mutex},
};

use console::measure_text_width;
use indicatif::TermLike;

use super::{send_bars::MAX_BARS, *};
use crate::event::{DownloadStatus, Route};

/// A terminal of 80 columns. It records the lines that it gets until [`Screen::take`].
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
    (Bars::with_target(ProgressDrawTarget::term_like(Box::new(screen.clone()))), screen)
}

fn download(number: u64, bytes: u64) -> DownloadStatus {
    let peer = format!("receiver {number}");
    DownloadStatus { number, peer, route: Route::Relay, bytes, total: Some(999_900_000) }
}

/// Returns the lines of a complete redraw.
fn drawn(bars: &Bars, screen: &Screen) -> Vec<String> {
    bars.hide();
    screen.take();
    let _ = bars.group.println("x"); // cannot fail: the screen is in memory
    let mut lines = screen.take();
    lines.retain(|line| line.trim() != "x");
    lines
}

#[test]
fn fifty_downloads_have_ten_bars_and_a_count() {
    let (mut bars, screen) = bars();
    for number in 1..=50 {
        bars.update(&Event::DownloadStarted(download(number, 0)));
    }
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert_eq!(lines.len(), MAX_BARS + 1, "{lines:#?}");
    assert!(lines[9].starts_with("receiver 10    via relay ["), "{lines:#?}");
    assert_eq!(lines[10].trim(), "and 40 more");

    bars.update(&Event::DownloadFinished { download: download(1, 9), seconds: 1.0 });
    bars.update(&Event::DownloadProgress(download(44, 9)));
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert_eq!(lines.len(), MAX_BARS + 1, "{lines:#?}");
    assert!(lines[9].starts_with("receiver 44") && lines[10].contains("and 39 more"), "{lines:#?}");

    bars.clear();
    assert_eq!(drawn(&bars, &screen), [""; 0]);
}

#[test]
fn a_bar_fits_80_columns_with_any_label() {
    let (mut bars, screen) = bars();
    let peer = "漢字漢字漢字漢字漢字\x1b[2J".to_owned();
    bars.update(&Event::DownloadStarted(DownloadStatus { peer, ..download(1, 999_800_000) }));
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert_eq!(lines.len(), 1);
    assert!(measure_text_width(&lines[0]) <= 80, "{lines:?}");
    assert!(lines[0].contains("999.8 MB / 999.9 MB") && lines[0].contains('…'), "{lines:?}");
    assert!(lines[0].contains(" 0 B/s"), "staged bytes do not count for the rate: {lines:?}");
}

#[test]
fn a_receiver_has_one_bar_at_a_time() {
    let (mut bars, screen) = bars();
    bars.update(&Event::Checking { bytes: 4_000, total: 8_000 });
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert!(lines[0].starts_with("checking [") && lines[0].contains("4.0 kB / 8.0 kB"), "{lines:?}");
    bars.update(&Event::Progress { bytes: 5_000, total: None });
    bars.draw();
    assert_eq!(drawn(&bars, &screen).len(), 1, "the check is complete");
    assert!(drawn(&bars, &screen)[0].contains("5.0 kB  "));
    bars.update(&Event::Progress { bytes: 6_000, total: Some(12_000) });
    bars.update(&Event::Reconnecting { attempt: 1, reason: "r".into() });
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert!(lines[0].contains("6.0 kB / 12.0 kB") && lines[0].contains("waiting to reconnect"), "{lines:?}");
    assert!(!lines[0].contains("/s"), "{lines:?}");
    bars.update(&Event::Progress { bytes: 6_500, total: Some(12_000) });
    bars.draw();
    let lines = drawn(&bars, &screen);
    assert!(lines[0].contains("0 B/s") && !lines[0].contains("waiting"), "{lines:?}");
    bars.update(&Event::Warning { kind: "k", message: "m".into(), hint: None });
    assert!(bars.receive.is_downloading());
    bars.update(&Event::Error { kind: crate::error::Kind::Disk, message: "m".into(), hint: None });
    assert!(!bars.receive.is_downloading());
    assert_eq!(drawn(&bars, &screen), [""; 0]);
}
