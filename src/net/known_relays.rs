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
    dir: StateDir,
}

/// How a relay was verified at the latest contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KnownRelay {
    Pin(Pin),
    Authority,
}

impl KnownRelays {
    /// Uses the relays stored in `dir`.
    pub fn new(dir: StateDir) -> Self {
        Self { dir }
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
            return Ok(TrustPolicy::AnyKey);
        }
        Ok(match self.load()?.get(&relay.addr.to_string()) {
            Some(KnownRelay::Pin(pin)) => TrustPolicy::StoredPin(*pin),
            Some(KnownRelay::Authority) => TrustPolicy::Authority,
            None => TrustPolicy::FirstContact,
        })
    }

    /// Stores how `relay` was verified, if that is new. A pin that the user gave is not stored: the user gives it each
    /// time.
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
        if all.insert(relay.to_string(), known) == Some(known) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&all).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        self.dir.write(FILE, &text)
    }

    fn load(&self) -> Result<BTreeMap<String, KnownRelay>> {
        let Some(text) = self.dir.read(FILE, MAX_FILE_SIZE)? else { return Ok(BTreeMap::new()) };
        serde_json::from_slice(&text).map_err(|_| {
            Error::new(Kind::Disk, format!("{} is damaged", self.dir.path(FILE).display()))
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

    #[test]
    fn trust_follows_how_the_relay_was_verified_before() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
        let spec: RelaySpec = "relay.example".parse().unwrap();
        let pin = Pin::new([1; 32]);
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::FirstContact);
        known.remember(&spec.addr, &VerifiedRelay { pin, by: VerifiedBy::FirstContact }).unwrap();
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::StoredPin(pin));
        known.remember(&spec.addr, &VerifiedRelay { pin: Pin::new([2; 32]), by: VerifiedBy::Authority }).unwrap();
        assert_eq!(known.trust_policy(&spec).unwrap(), TrustPolicy::Authority);
        let pinned = RelaySpec { pin: Some(pin), ..spec };
        assert_eq!(known.trust_policy(&pinned).unwrap(), TrustPolicy::Pin(pin));
    }

    #[test]
    fn a_relay_on_this_machine_may_present_any_key() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownRelays::new(StateDir::open(home.path()).unwrap());
        for local in ["localhost", "127.0.0.1", "127.9.9.9:1", "[::1]:9", "::ffff:127.0.0.1"] {
            assert_eq!(known.trust_policy(&local.parse().unwrap()).unwrap(), TrustPolicy::AnyKey, "{local}");
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
