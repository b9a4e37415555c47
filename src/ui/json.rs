//! Writes events as lines of JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::{event::Event, text::is_bidi_control};

/// Returns the event as JSON with a line feed.
pub(super) fn line(event: &Event) -> Vec<u8> {
    let mut line = Vec::with_capacity(200);
    // Cannot fail: the keys are strings, and the output is memory.
    let _ = event.serialize(&mut Serializer::with_formatter(&mut line, EscapingFormatter));
    line.push(b'\n');
    line
}

/// Writes compact JSON that is safe to show at a terminal: control characters are escaped, as in `\u009b`. Parsers
/// return the same text.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| must_be_escaped(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(c))?; // all of these characters are below U+10000
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

fn must_be_escaped(c: char) -> bool {
    c.is_control() || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        code::{Code, Link, Pin},
        error::{Error, Kind},
        event::{
            DownloadStatus, Finished, LeftOutCount, ListedEntry, NameAction, OfferLimit, OfferSummary, OfferedName,
            Sharing, StopReason,
        },
        manifest::LeftOutReason,
        route::Route,
    };

    fn text(event: &Event) -> String {
        String::from_utf8(line(event)).unwrap()
    }

    fn download() -> DownloadStatus {
        DownloadStatus { number: 3, peer: "receiver 3".into(), route: Route::Relay, bytes: 5, total: Some(10) }
    }

    #[test]
    fn the_line_of_a_share_is_golden() {
        let sharing = Sharing {
            schema: 1,
            share: "00ff".into(),
            code: Code::parse("XKY9-7HQ2ME").unwrap().reveal(),
            link: Link::parse("qshare://relay.example:4433/XKY9-7HQ2ME").unwrap().reveal(),
            name: "holiday".into(),
            files: 214,
            bytes: None,
            text: false,
            left_out: vec![LeftOutCount { reason: LeftOutReason::OutsideLink, count: 2 }],
            excluded: 3,
            relay: "relay.example:4433".into(),
            embedded: false,
            announced: true,
            expires: Some(1_800_000_000),
        };
        assert_eq!(
            text(&Event::Sharing(sharing)),
            "{\"event\":\"sharing\",\"schema\":1,\"share\":\"00ff\",\"code\":\"XKY9-7HQ2ME\",\
             \"link\":\"qshare://relay.example:4433/XKY9-7HQ2ME\",\"name\":\"holiday\",\"files\":214,\"bytes\":null,\
             \"text\":false,\"left_out\":[{\"reason\":\"outside_link\",\"count\":2}],\"excluded\":3,\"relay\":\"relay.example:4433\",\"embedded\":false,\"lan\":true,\"expires\":1800000000}\n"
        );
    }

    #[test]
    fn the_lines_of_downloads_are_flat_and_golden() {
        let common = "\"download\":3,\"peer\":\"receiver 3\",\"path\":\"relay\",\"bytes\":5,\"total\":10";
        for (event, expected) in [
            (Event::DownloadStarted(download()), format!("{{\"event\":\"download_started\",{common}}}\n")),
            (Event::DownloadProgress(download()), format!("{{\"event\":\"download_progress\",{common}}}\n")),
            (
                Event::DownloadFinished { download: download(), seconds: 1.5, files: 1 },
                format!("{{\"event\":\"download_finished\",{common},\"seconds\":1.5,\"files\":1}}\n"),
            ),
            (
                Event::DownloadFailed { download: download(), error: "gone".into(), kind: Kind::Network },
                format!("{{\"event\":\"download_failed\",{common},\"error\":\"gone\",\"kind\":\"network\"}}\n"),
            ),
        ] {
            assert_eq!(text(&event), expected);
        }
    }

    #[test]
    fn the_lines_of_a_receiver_are_golden() {
        let entry =
            ListedEntry { path: "a".into(), kind: "file", size: Some(1), mode: 0o644, mtime: Some(-1), link: None };
        let saved = vec!["/tmp/a".to_owned()];
        for (event, expected) in [
            (
                Event::Offer(OfferSummary {
                    schema: 1,
                    share: "00ff".into(),
                    name: "x".into(),
                    files: 1,
                    bytes: Some(2),
                    text: false,
                    resumed_bytes: 0,
                    left_out: Vec::new(),
                    unselected: 0,
                    changed: false,
                    unsupported: 3,
                    limits: vec![OfferLimit {
                        limit: "links",
                        description: "links",
                        entries: 1,
                        paths: vec!["x/l".into()],
                    }],
                    target: Some("/tmp".into()),
                    names: vec![OfferedName {
                        name: "x".into(),
                        kind: "file",
                        action: NameAction::Create,
                        hidden: false,
                        executable: true,
                        auto_run: false,
                    }],
                    more: 0,
                    hidden: 9,
                    executables: 9,
                    auto_run: 1,
                    auto_run_paths: vec!["x/autorun.inf".into()],
                }),
                "{\"event\":\"offer\",\"schema\":1,\"share\":\"00ff\",\"name\":\"x\",\"files\":1,\"bytes\":2,\"text\":false,\
                 \"resumed_bytes\":0,\"left_out\":[],\"unselected\":0,\"changed\":false,\"unsupported\":3,\"limits\":[{\"limit\":\"links\",\
                 \"description\":\"links\",\"entries\":1,\"paths\":[\"x/l\"]}],\"target\":\"/tmp\",\"hidden\":9,\
                 \"executables\":9,\"auto_run\":1,\
                 \"auto_run_paths\":[\"x/autorun.inf\"],\"more\":0,\"names\":[{\"name\":\"x\",\"kind\":\"file\",\
                 \"action\":\"create\",\"hidden\":false,\"executable\":true,\"auto_run\":false}]}\n",
            ),
            (
                Event::Entries { entries: vec![entry] },
                "{\"event\":\"entries\",\"entries\":[{\"path\":\"a\",\"kind\":\"file\",\"size\":1,\"mode\":420,\
                 \"mtime\":-1,\"link\":null}]}\n",
            ),
            (
                Event::Progress { bytes: 1, total: None, rate: 7, file: Some("x/a".into()) },
                "{\"event\":\"progress\",\"bytes\":1,\"total\":null,\"rate\":7,\"file\":\"x/a\"}\n",
            ),
            (
                Event::Finished(Finished {
                    bytes: 2,
                    seconds: 0.5,
                    saved,
                    paths: Vec::new(),
                    saved_encoded: Vec::new(),
                    files: 1,
                    skipped: 4,
                    unselected: 2,
                    unsupported: 1,
                    incomplete: vec!["b".to_owned()],
                    route: Route::Relay,
                }),
                "{\"event\":\"finished\",\"bytes\":2,\"seconds\":0.5,\"saved\":[\"/tmp/a\"],\"files\":1,\
                 \"skipped\":4,\"unselected\":2,\"unsupported\":1,\"incomplete\":[\"b\"],\"path\":\"relay\"}\n",
            ),
        ] {
            assert_eq!(text(&event), expected);
        }
    }

    #[test]
    fn the_lines_of_messages_are_golden() {
        let pin = Pin::new([0; 32]);
        for (event, expected) in [
            (
                Event::RelayListening { addr: "[::]:4433".into(), addresses: vec!["192.0.2.7:4433".into()], pin },
                format!(
                    "{{\"event\":\"relay_listening\",\"addr\":\"[::]:4433\",\"addresses\":[\"192.0.2.7:4433\"],\"pin\":\"{}\"}}\n",
                    "A".repeat(43)
                ),
            ),
            (
                Event::StoredRelay {
                    folder: "/x".into(),
                    addr: "[::]:4433".into(),
                    addresses: vec!["192.0.2.7:4433".into()],
                    pin,
                },
                format!(
                    "{{\"event\":\"stored_relay\",\"folder\":\"/x\",\"addr\":\"[::]:4433\",\"addresses\":[\"192.0.2.7:4433\"],\"pin\":\"{}\"}}\n",
                    "A".repeat(43)
                ),
            ),
            (
                Event::WrongCode { download: 2, peer: "receiver 2".into(), guesses_left: 4 },
                "{\"event\":\"wrong_code\",\"download\":2,\"peer\":\"receiver 2\",\"guesses_left\":4}\n".into(),
            ),
            (
                Event::Warning { kind: "skipped", message: "m".into(), hint: None },
                "{\"event\":\"warning\",\"kind\":\"skipped\",\"message\":\"m\",\"hint\":null}\n".into(),
            ),
            (
                Event::Stopped { reason: StopReason::MaxDownloads },
                "{\"event\":\"stopped\",\"reason\":\"max_downloads\"}\n".into(),
            ),
            (
                Event::from(&Error::new(Kind::NotFound, "no such code").hint("ask again")),
                "{\"event\":\"error\",\"kind\":\"not_found\",\"message\":\"no such code\",\"hint\":\"ask again\"}\n"
                    .into(),
            ),
        ] {
            assert_eq!(text(&event), expected);
        }
    }

    #[test]
    fn hostile_text_stays_on_its_line_and_is_parsed_unchanged() {
        let hostile = "a\x1b[2J\n\u{9b}1A\u{202e}\u{2028}\u{7f}\"é👩‍👩‍👧";
        let line = text(&Event::Warning { kind: "k", message: hostile.into(), hint: None });
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.trim_end().chars().any(must_be_escaped), "{line}");
        assert!(line.contains("\\u009b1A\\u202e\\u2028\\u007f\\\"é👩‍👩‍👧"), "{line}");
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["message"], hostile);
    }
}
