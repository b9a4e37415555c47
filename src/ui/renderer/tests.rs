//! Tests of the lines that people see.

use super::*;
use crate::{
    error::{Error, Kind},
    event::{DownloadStatus, Finished, OfferSummary, StopReason},
    route::Route,
    ui::{lines::OutputStream, offer::tests::offer},
};

const HOSTILE: &str = "evil\x1b[2J\u{202e}\r\n";
const HARMLESS: &str = "evil\\u{1b}[2J\\u{202e}\\u{d}\\u{a}";

fn shown(look: Appearance, event: &Event) -> String {
    Renderer::new(look).lines(event).all()
}

fn download(peer: &str, bytes: u64) -> DownloadStatus {
    DownloadStatus { number: 3, peer: peer.into(), route: Route::Relay, bytes, total: Some(2_000) }
}

fn finished(saved: &[&str]) -> Event {
    let saved = saved.iter().map(ToString::to_string).collect();
    Event::Finished(Finished {
        bytes: 1_300_000_000,
        seconds: 12.1,
        saved,
        paths: Vec::new(),
        saved_encoded: Vec::new(),
        files: 214,
        skipped: 0,
        unselected: 0,
        unsupported: 0,
        incomplete: Vec::new(),
        route: Route::Relay,
    })
}

#[test]
fn a_download_has_one_line_when_it_ends() {
    let mut renderer = Renderer::new(Appearance::terminal());
    assert!(renderer.lines(&Event::DownloadStarted(download("receiver 3", 1_000))).is_empty());
    assert!(renderer.lines(&Event::DownloadProgress(download("receiver 3", 1_500))).is_empty());
    let done = Event::DownloadFinished { download: download("receiver 3", 2_000), seconds: 2.0, files: 1 };
    assert_eq!(
        renderer.lines(&done).text_for(OutputStream::Err),
        "receiver 3: done, 2.0 kB in 2.0 s (500 B/s) via relay\n",
        "staged bytes do not count for the rate"
    );
    let look = Appearance { bars: false, ..Appearance::terminal() };
    let started = Event::DownloadStarted(download("receiver 3", 0));
    assert_eq!(shown(look, &started), "receiver 3: downloading via relay\n");
}

#[test]
fn failures_and_wrong_codes_are_described() {
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
        assert!(line.starts_with("warning: receiver 4 used a wrong code") && line.contains(part), "{line}");
    }
}

#[test]
fn lost_and_restored_connections_are_shown_once() {
    let look = Appearance::terminal;
    let lost = |attempt| Event::Reconnecting { attempt, reason: "lost connection to the relay".into() };
    assert_eq!(shown(look(), &lost(1)), "warning: lost connection to the relay; reconnecting…\n");
    assert_eq!(shown(look(), &lost(2)), "");
    assert_eq!(shown(look(), &Event::Reconnected { attempt: 2 }), "Reconnected.\n");
    let waiting =
        Event::DownloadWaiting { download: download("receiver 3", 0), reason: "the connection timed out".into() };
    assert_eq!(shown(look(), &waiting), "receiver 3: the connection timed out; waiting for it to reconnect\n");
    assert_eq!(shown(look(), &Event::DownloadResumed(download("receiver 3", 0))), "receiver 3: reconnected\n");
}

#[test]
fn saved_paths_are_a_sentence_or_a_list() {
    let look = Appearance::terminal();
    let (one, two) = (finished(&["holiday"]), finished(&["a", "b"]));
    assert_eq!(shown(look.clone(), &one), "Saved holiday (214 files, 1.3 GB in 12.1 s, 107.4 MB/s)\n");
    assert_eq!(shown(look.clone(), &two), "Saved 214 files, 1.3 GB in 12.1 s, 107.4 MB/s:\n  a\n  b\n");
    let piped = Renderer::new(Appearance { out_terminal: false, ..look.clone() }).lines(&two);
    assert_eq!(piped.text_for(OutputStream::Out), "a\nb\n");
    assert_eq!(piped.text_for(OutputStream::Err), "Saved 214 files: 1.3 GB in 12.1 s, 107.4 MB/s\n");
    assert_eq!(shown(Appearance { quiet: true, ..look.clone() }, &two), "a\nb\n");
    let content = Renderer::new(look).lines(&finished(&["-"]));
    assert_eq!(content.text_for(OutputStream::Out), "", "the content went there");
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
fn quiet_shows_only_results_and_errors() {
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
fn text_from_the_other_side_is_escaped() {
    let name = || HOSTILE.to_owned();
    let events = [
        Event::Offer(OfferSummary { target: None, name: name(), ..offer(1, 1) }),
        Event::Offer(OfferSummary { target: Some(name()), ..offer(1, 1) }),
        Event::DownloadFinished { download: download(HOSTILE, 1), seconds: 1.0, files: 1 },
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
fn every_reason_to_stop_is_a_sentence() {
    for reason in [StopReason::Once, StopReason::MaxDownloads, StopReason::Expired, StopReason::Interrupted] {
        assert!(shown(Appearance::terminal(), &Event::Stopped { reason }).ends_with(".\n"));
    }
}
