//! The warnings of a sender.

use crate::{
    event::{Event, Events},
    text::count,
    transfer::Source,
};

/// The maximum number of skipped paths to list one by one.
const MAX_NAMED: usize = 10;

/// Reports the paths that a scan has skipped.
pub(super) async fn report_skipped(source: &Source, events: &Events) {
    let skipped = source.skipped();
    for path in skipped.iter().take(MAX_NAMED) {
        events.report(left_out(format!("skipping “{}”: {}", path.path, path.reason)));
    }
    if skipped.len() > MAX_NAMED {
        let more = count((skipped.len() - MAX_NAMED) as u64, "more path");
        events.report(left_out(format!("skipping {more}")));
    }
}

fn left_out(message: String) -> Event {
    Event::Warning { kind: "left_out", message, hint: None }
}

/// Warns that the relay could not restore the saved slot.
pub(super) fn new_code() -> Event {
    Event::Warning {
        kind: "new_code",
        message: "the relay could not restore the old code; the share has a new one".to_owned(),
        hint: Some("give the new code to everyone who has the old one".to_owned()),
    }
}

/// Warns that no other machine can reach the embedded relay.
pub(super) fn no_network() -> Event {
    Event::Warning {
        kind: "no_network",
        message: "this machine has no network address, so the link works on this machine only".to_owned(),
        hint: Some("connect to a network and start the share again, or use a relay: --relay HOST".to_owned()),
    }
}

/// Warns that the embedded relay could not use the port of earlier links.
pub(super) fn other_port(previous: u16, port: u16) -> Event {
    Event::Warning {
        kind: "port",
        message: format!("port {previous} is in use; this share uses port {port} for now"),
        hint: Some("earlier links work again once the port is free and you restart the share".to_owned()),
    }
}
