//! The errors that users see when a connection to a relay fails.

use super::tls::Refusal;
use crate::{
    code::RelayAddr,
    error::{Error, Kind},
};

/// Returns the error for a relay none of whose addresses could be reached.
pub(super) fn relay_unreachable(relays: &[RelayAddr], why: &str) -> Error {
    let names: Vec<String> = relays.iter().map(ToString::to_string).collect();
    Error::new(Kind::Network, format!("cannot reach the relay {}: {why}", names.join(" or ")))
        .hint("check that the address is right and the relay is running; some networks block UDP")
        .transient()
}

/// Returns the error for a relay whose name the name servers do not resolve in time.
pub(super) fn names_unresolved(relay: &RelayAddr) -> Error {
    Error::new(Kind::Network, format!("cannot resolve {}: no name server answers", relay.host))
        .hint("check this machine's network connection and its name servers")
        .transient()
}

/// Returns the error for a relay that did not prove the expected identity.
pub(super) fn wrong_relay(relay: &RelayAddr, refusal: Refusal) -> Error {
    let (what, hint) = match refusal {
        Refusal::WrongPin => ("has another key than the pin", "ask for a new link; the connection may be intercepted"),
        Refusal::KeyChanged => (
            "has another key than at first contact",
            "ask its operator; if the change is legitimate, pass the new pin: --relay HOST:PORT#PIN",
        ),
        Refusal::CertificateLost => (
            "no longer has a certificate from a public authority",
            "ask its operator; if the change is legitimate, pass its pin: --relay HOST:PORT#PIN",
        ),
    };
    Error::new(Kind::WrongCode, format!("the relay {relay} {what}; nothing was sent")).hint(hint)
}
