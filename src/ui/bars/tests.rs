//! Tests of the lines that progress bars show.

use super::{send_bars::MAX_BARS, *};
use crate::{event::DownloadStatus, route::Route};

const MB: u64 = 1_000_000;

/// Bars that get an event per second.
struct Session {
    bars: Bars,
    now: Instant,
}

impl Session {
    fn new() -> Self {
        Self { bars: Bars::new(), now: Instant::now() }
    }

    fn show(&mut self, event: Event) {
        self.now += Duration::from_secs(1);
        self.bars.update(&event, self.now);
    }

    fn lines(&self, columns: usize) -> Vec<String> {
        self.bars.lines(columns - 1, self.now)
    }
}

fn download(number: u64, bytes: u64) -> DownloadStatus {
    let peer = format!("receiver {number}");
    DownloadStatus { number, peer, route: Route::Relay, bytes, total: Some(1_000 * MB) }
}

fn progress(bytes: u64, file: Option<&str>) -> Event {
    Event::Progress { bytes, total: Some(1_000 * MB), rate: 0, file: file.map(str::to_owned) }
}

#[test]
fn fifty_downloads_have_ten_bars_and_a_count() {
    let mut session = Session::new();
    for number in 1..=50 {
        session.show(Event::DownloadStarted(download(number, 0)));
    }
    let lines = session.lines(80);
    assert_eq!(lines.len(), MAX_BARS + 1, "{lines:#?}");
    assert!(lines[9].starts_with("receiver 10    ["), "{lines:#?}");
    assert_eq!(lines[10], "and 40 more");

    session.show(Event::DownloadFinished { download: download(1, 9), seconds: 1.0, files: 1 });
    let lines = session.lines(80);
    assert!(lines[0].starts_with("receiver 2 ") && lines[9].starts_with("receiver 11"), "{lines:#?}");
    assert_eq!(lines[10], "and 39 more");

    session.show(Event::Stopped { reason: crate::event::StopReason::Once });
    assert!(session.bars.is_empty());
}

#[test]
fn a_sender_shows_percentage_recent_rate_and_time_left() {
    let mut session = Session::new();
    session.show(Event::DownloadStarted(download(1, 200 * MB)));
    session.show(Event::DownloadProgress(download(1, 220 * MB)));
    session
        .show(Event::DownloadStarted(DownloadStatus {
            peer: "漢字漢字漢字漢字漢字\x1b[2J".into(), ..download(2, 0)
        }));
    session.show(Event::DownloadProgress(download(1, 260 * MB)));
    assert_eq!(
        session.lines(80),
        [
            "receiver 1     [=====>                    ]  26 %   20.0 MB/s  37 s left",
            "漢字漢字漢字…  [                          ]   0 %       0 B/s",
        ]
    );
    assert_eq!(
        session.lines(50),
        ["receiver 1  26 %   20.0 MB/s  37 s left", "漢字漢字漢字…   0 %       0 B/s"],
        "staged bytes do not count for the rate"
    );
}

#[test]
fn a_stall_and_a_lost_connection_show() {
    let mut session = Session::new();
    session.show(Event::DownloadStarted(download(1, 0)));
    session.show(Event::DownloadProgress(download(1, 50 * MB)));
    session.now += Duration::from_secs(4);
    assert_eq!(session.lines(50), ["receiver 1   5 %   10.0 MB/s  1 min 35 s left"]);
    session.now += Duration::from_secs(5);
    assert_eq!(session.lines(50), ["receiver 1   5 %       0 B/s"]);
    session.show(Event::DownloadWaiting { download: download(1, 50 * MB), reason: "r".into() });
    assert_eq!(session.lines(50), ["receiver 1   5 %  waiting to reconnect"]);
    session.show(Event::DownloadProgress(download(1, 50 * MB)));
    session.show(Event::DownloadProgress(download(1, 60 * MB)));
    assert_eq!(session.lines(50), ["receiver 1   6 %   10.0 MB/s  1 min 34 s left"]);
}

#[test]
fn a_receiver_has_one_bar_at_a_time_and_the_current_file_above_it() {
    let mut session = Session::new();
    session.show(Event::Checking { bytes: 0, total: 8 * MB });
    session.show(Event::Checking { bytes: 4 * MB, total: 8 * MB });
    let lines = session.lines(80);
    assert_eq!(lines, ["checking [====>      ]  50 %      4.0 MB / 8.0 MB    4.0 MB/s  1 s left"]);
    let long = format!("holiday/{}/a\x1b.jpg", "x".repeat(100));
    session.show(progress(0, None));
    session.show(progress(100 * MB, Some(&long)));
    let lines = session.lines(80);
    assert!(lines[0].starts_with("holiday/xxx") && lines[0].ends_with("xx/a\\u{1b}.jpg"), "{lines:?}");
    assert_eq!(lines[0].chars().count(), 79);
    assert_eq!(lines[1], "[=>                  ]  10 %    100.0 MB / 1.0 GB  100.0 MB/s  9 s left");
    assert_eq!(session.lines(50), ["[>          ]  10 %  100.0 MB/s  9 s left"]);
    session.show(Event::Reconnecting { attempt: 1, reason: "r".into() });
    assert!(session.lines(80)[1].ends_with("100.0 MB / 1.0 GB  waiting to reconnect"));
    session.show(Event::Warning { kind: "k", message: "m".into(), hint: None });
    assert!(!session.bars.is_empty());
    session.show(Event::Error { kind: crate::error::Kind::Disk, message: "m".into(), hint: None });
    assert!(session.bars.is_empty());
}

#[test]
fn a_stream_of_unknown_length_has_no_percentage() {
    let mut session = Session::new();
    session.show(Event::Progress { bytes: 0, total: None, rate: 0, file: None });
    session.show(Event::Progress { bytes: 5_000, total: None, rate: 0, file: None });
    assert_eq!(session.lines(80), ["5.0 kB    5.0 kB/s"]);
}
