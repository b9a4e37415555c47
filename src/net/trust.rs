//! Which relay a client trusts, and why.

use crate::code::Pin;

/// What a relay must present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPolicy {
    /// This key, which the user or a link gave. A certificate from a public authority does not replace it.
    Pin(Pin),
    /// The key of the first contact. A certificate from a public authority does not replace it.
    StoredPin(Pin),
    /// A certificate from a public authority, because the relay had one before.
    Authority,
    /// Any key: the relay is not known yet.
    FirstContact,
    /// Any key, if the address is a loopback address: the relay runs on this machine.
    Loopback,
    /// Any key: a search on this machine or on the local network has found the address. The session authenticates the
    /// sender.
    Nearby,
}

/// A relay whose key was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedRelay {
    /// The pin of its key.
    pub pin: Pin,
    /// Why the key was accepted.
    pub by: VerifiedBy,
}

/// Why a relay's key was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedBy {
    /// It matches the pin of a link, the command line or the configuration.
    Pin,
    /// A public certificate authority has signed its certificate.
    Authority,
    /// It matches the pin of the first contact.
    StoredPin,
    /// This is the first contact: nothing has verified it.
    FirstContact,
    /// The relay runs on this machine or on the local network: nothing has verified it.
    Unverified,
}
