//! The warnings of a sender.

use crate::event::Event;

/// The kind of the warning that a share has a new code.
pub(crate) const NEW_CODE: &str = "new_code";

/// Warns that the relay could not restore the saved slot.
pub(crate) fn new_code() -> Event {
    Event::Warning {
        kind: NEW_CODE,
        message: "the relay could not restore the old code; the share has a new one".to_owned(),
        hint: Some("give the new code to everyone who has the old one".to_owned()),
    }
}

/// Warns that no other machine can reach the embedded relay.
pub(crate) fn no_network() -> Event {
    Event::Warning {
        kind: "no_network",
        message: "this machine has no network address, so the link works on this machine only".to_owned(),
        hint: Some("connect to a network and start the share again, or use a relay: --relay HOST".to_owned()),
    }
}

/// Warns that the embedded relay could not use the port of earlier links.
pub(crate) fn other_port(previous: u16, port: u16) -> Event {
    Event::Warning {
        kind: "port",
        message: format!("port {previous} is in use; this share uses port {port} for now"),
        hint: Some("earlier links work again once the port is free and you restart the share".to_owned()),
    }
}
