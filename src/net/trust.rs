//! Whom to trust as a relay, and what is remembered of earlier contacts.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    code::{Pin, RelayAddr, RelaySpec},
    error::{Error, Kind, Result},
    state::StateDir,
};

const FILE: &str = "known-relays.json";
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// What a relay must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPolicy {
    /// This key, whatever else it shows.
    Pin(Pin),
    /// A certificate of a public authority, or else this key, which it showed at first contact.
    StoredPin(Pin),
    /// A certificate of a public authority, as it had before.
    Authority,
    /// Nothing is known of it yet.
    FirstContact,
    /// Any key: a relay on this machine.
    AnyKey,
}

/// A relay that proved to have a key, and why that is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedRelay {
    /// Its key.
    pub pin: Pin,
    /// Who vouched for it.
    pub by: VerifiedBy,
}

/// Who vouched for a relay's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedBy {
    /// A pin in a link, on the command line or in the configuration.
    Pin,
    /// A public certificate authority.
    Authority,
    /// The pin of the first contact.
    StoredPin,
    /// Nobody yet: this is the first contact.
    FirstContact,
    /// Nobody: a relay on this machine.
    Unverified,
}

/// What is remembered of one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KnownRelay {
    Pin(Pin),
    Authority,
}

/// The relays met before, in the state folder.
#[derive(Debug, Clone)]
pub struct KnownRelays {
    dir: StateDir,
}

impl KnownRelays {
    /// Those remembered in `dir`.
    pub fn new(dir: StateDir) -> Self {
        Self { dir }
    }

    /// What `relay` must show.
    ///
    /// # Errors
    /// [`Kind::Disk`] where the memory cannot be read: trust must not be weakened by a damaged file.
    pub fn trust_policy(&self, relay: &RelaySpec) -> Result<TrustPolicy> {
        if let Some(pin) = relay.pin {
            return Ok(TrustPolicy::Pin(pin));
        }
        if is_loopback(&relay.addr) {
            return Ok(TrustPolicy::AnyKey);
        }
        Ok(match self.load()?.get(&relay.addr.to_string()) {
            Some(KnownRelay::Pin(pin)) => TrustPolicy::StoredPin(*pin),
            Some(KnownRelay::Authority) => TrustPolicy::Authority,
            None => TrustPolicy::FirstContact,
        })
    }

    /// Remembers how `relay` was verified, where that is news. A pin given by hand is not stored: whoever gave it gives
    /// it again.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub fn remember(&self, relay: &RelayAddr, verified: &VerifiedRelay) -> Result<()> {
        let known = match verified.by {
            VerifiedBy::Authority => KnownRelay::Authority,
            VerifiedBy::FirstContact => KnownRelay::Pin(verified.pin),
            VerifiedBy::Pin | VerifiedBy::StoredPin | VerifiedBy::Unverified => return Ok(()),
        };
        let mut all = self.load()?;
        if all.insert(relay.to_string(), known) == Some(known) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&all).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        self.dir.write(FILE, &text)
    }

    fn load(&self) -> Result<BTreeMap<String, KnownRelay>> {
        let Some(text) = self.dir.read(FILE, LONGEST_FILE)? else { return Ok(BTreeMap::new()) };
        serde_json::from_slice(&text).map_err(|_| {
            Error::new(Kind::Disk, format!("{} is damaged", self.dir.path(FILE).display()))
                .hint("move it away to meet all relays for the first time again")
        })
    }
}

/// Whether this is a relay on this machine.
fn is_loopback(addr: &RelayAddr) -> bool {
    addr.host.eq_ignore_ascii_case("localhost")
        || addr.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_remembered_by_how_they_were_verified() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
        let spec: RelaySpec = "relay.example".parse().unwrap();
        let pin = Pin::new([1; 32]);
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::FirstContact);
        known.remember(&spec.addr, &VerifiedRelay { pin, by: VerifiedBy::FirstContact }).unwrap();
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::StoredPin(pin));
        known.remember(&spec.addr, &VerifiedRelay { pin: Pin::new([2; 32]), by: VerifiedBy::Authority }).unwrap();
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::Authority);
        let pinned = RelaySpec { pin: Some(pin), ..spec.clone() };
        assert_eq!(known.trust_policy(&pinned).unwrap(), TrustPolicy::Pin(pin));
        for local in ["localhost", "127.0.0.1", "127.9.9.9:1", "[::1]:9", "::ffff:127.0.0.1"] {
            assert_eq!(known.trust_policy(&local.parse().unwrap()).unwrap(), TrustPolicy::AnyKey, "{local}");
        }
        std::fs::write(home.path().join(FILE), "{").unwrap();
        assert_eq!(known.trust_policy(&spec).unwrap_err().kind(), Kind::Disk);
    }
}
