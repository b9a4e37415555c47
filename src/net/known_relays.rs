//! The relays that this user has contacted before.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::trust::{TrustPolicy, VerifiedBy, VerifiedRelay};
use crate::{
    code::{Pin, RelayAddr, RelaySpec},
    error::{Error, Kind, Result},
    state::StateDir,
};

const FILE: &str = "known-relays.json";

/// In bytes.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// The relays that this user has contacted before, and how each was verified. They are stored in the state folder.
#[derive(Debug, Clone)]
pub struct KnownRelays {
    /// `None` if there is no state folder: every contact is then the first one.
    dir: Option<StateDir>,
}

/// How a relay was verified at the latest contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KnownRelay {
    Pin(Pin),
    Authority,
}

impl KnownRelays {
    /// Uses the relays stored in `dir`, if there is a state folder.
    pub fn new(dir: impl Into<Option<StateDir>>) -> Self {
        Self { dir: dir.into() }
    }

    /// Returns what `relay` must present.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the stored relays cannot be read: a damaged file must not weaken trust.
    pub fn trust_policy(&self, relay: &RelaySpec) -> Result<TrustPolicy> {
        if let Some(pin) = relay.pin {
            return Ok(TrustPolicy::Pin(pin));
        }
        if is_loopback(&relay.addr) {
            return Ok(TrustPolicy::Loopback);
        }
        Ok(match self.load()?.get(&relay.addr.to_string()) {
            Some(KnownRelay::Pin(pin)) => TrustPolicy::StoredPin(*pin),
            Some(KnownRelay::Authority) => TrustPolicy::Authority,
            None => TrustPolicy::FirstContact,
        })
    }

    /// Stores how the relay at `relay` was verified, if nothing is stored for that address yet. Nothing is stored for a
    /// pin that the user or a link gave.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be read or written.
    pub fn remember(&self, relay: &RelayAddr, verified: &VerifiedRelay) -> Result<()> {
        let known = match verified.by {
            VerifiedBy::Authority => KnownRelay::Authority,
            VerifiedBy::FirstContact => KnownRelay::Pin(verified.pin),
            VerifiedBy::Pin | VerifiedBy::StoredPin | VerifiedBy::Unverified => return Ok(()),
        };
        let mut all = self.load()?;
        if all.contains_key(&relay.to_string()) {
            return Ok(());
        }
        all.insert(relay.to_string(), known);
        self.store(&all)
    }

    /// Replaces what is stored for `relay`, if anything is, with the pin that the user gave and the relay has proved.
    ///
    /// # Errors
    /// As [`KnownRelays::remember`].
    pub fn replace(&self, relay: &RelayAddr, pin: Pin) -> Result<()> {
        let mut all = self.load()?;
        match all.get_mut(&relay.to_string()) {
            Some(known) if *known != KnownRelay::Pin(pin) => *known = KnownRelay::Pin(pin),
            _ => return Ok(()),
        }
        self.store(&all)
    }

    fn store(&self, all: &BTreeMap<String, KnownRelay>) -> Result<()> {
        let text = serde_json::to_vec_pretty(all).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        match &self.dir {
            Some(dir) => dir.write(FILE, &text),
            None => Err(Error::new(Kind::Disk, "there is no state folder")),
        }
    }

    fn load(&self) -> Result<BTreeMap<String, KnownRelay>> {
        let Some(dir) = &self.dir else { return Ok(BTreeMap::new()) };
        let Some(text) = dir.read(FILE, MAX_FILE_SIZE)? else { return Ok(BTreeMap::new()) };
        serde_json::from_slice(&text).map_err(|_| {
            Error::new(Kind::Disk, format!("{} is damaged", dir.path(FILE).display()))
                .hint("move the file away; relays are then trusted at first contact again")
        })
    }
}

/// Whether the address leads to this machine.
fn is_loopback(addr: &RelayAddr) -> bool {
    addr.host.eq_ignore_ascii_case("localhost")
        || addr.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the table in docs/SECURITY.md row by row: what is stored, what a relay proved, and what is stored then.
    #[test]
    fn only_the_user_replaces_what_is_stored() {
        let spec: RelaySpec = "relay.example".parse().unwrap();
        let pin = |n| Pin::new([n; 32]);
        let stored = |known: &KnownRelays| known.trust_policy(&spec).unwrap();
        let first_contact = |n| VerifiedRelay { pin: pin(n), by: VerifiedBy::FirstContact };
        let authority = VerifiedRelay { pin: pin(9), by: VerifiedBy::Authority };
        let given = VerifiedRelay { pin: pin(9), by: VerifiedBy::Pin };
        for (before, expected) in [
            (None, TrustPolicy::FirstContact),
            (Some(first_contact(1)), TrustPolicy::StoredPin(pin(1))),
            (Some(authority), TrustPolicy::Authority),
        ] {
            let home = tempfile::tempdir().unwrap();
            let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
            if let Some(before) = before {
                known.remember(&spec.addr, &before).unwrap();
            }
            assert_eq!(stored(&known), expected);
            known.remember(&spec.addr, &given).unwrap();
            assert_eq!(stored(&known), expected, "a pin in a link stores nothing");
            known.replace(&spec.addr, pin(2)).unwrap();
            let replaced = if before.is_some() { TrustPolicy::StoredPin(pin(2)) } else { expected };
            assert_eq!(stored(&known), replaced, "the user replaces only what is stored");
            if before.is_some() {
                for later in [first_contact(3), authority] {
                    known.remember(&spec.addr, &later).unwrap();
                    assert_eq!(stored(&known), replaced, "{later:?} replaces nothing");
                }
            }
            let pinned = RelaySpec { pin: Some(pin(4)), ..spec.clone() };
            assert_eq!(known.trust_policy(&pinned).unwrap(), TrustPolicy::Pin(pin(4)));
            let other: RelaySpec = "other.example".parse().unwrap();
            assert_eq!(known.trust_policy(&other).unwrap(), TrustPolicy::FirstContact);
        }
    }

    #[test]
    fn a_relay_on_this_machine_may_present_any_key() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
        for local in ["localhost", "127.0.0.1", "127.9.9.9:1", "[::1]:9", "::ffff:127.0.0.1"] {
            assert_eq!(known.trust_policy(&local.parse().unwrap()).unwrap(), TrustPolicy::Loopback, "{local}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
        std::fs::write(home.path().join(FILE), "{").unwrap();
        assert_eq!(known.trust_policy(&"relay.example".parse().unwrap()).unwrap_err().kind(), Kind::Disk);
    }
}
