//! The shares of this machine that run a relay of their own, so that a bare code works here.
//!
//! Each has a file in the state folder, named after its slot and locked for as long as it runs: a file that is left
//! behind by a killed process is not locked and counts as gone.

use std::{fs::File, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    code::{Pin, Slot},
    error::{Error, Kind, Result},
    state::{StateDir, is_locked},
};

const LONGEST_FILE: u64 = 4096;

/// A file is locked this soon after it is written, or its process is gone.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);

/// How to reach an embedded relay on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EmbeddedAddress {
    /// Its loopback address.
    pub(super) addr: SocketAddr,
    /// Its key.
    pub(super) pin: Pin,
}

/// A share that runs. Dropped, it is forgotten.
pub(super) struct RunningShare {
    dir: StateDir,
    name: String,
    _lock: File,
}

impl RunningShare {
    /// Makes a share known on this machine.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(super) fn announce(state: &StateDir, slot: Slot, reach: &EmbeddedAddress) -> Result<Self> {
        let dir = state.subfolder("running")?;
        dir.sweep(LOCKED_WITHIN, |path| !is_locked(path));
        let name = format!("{slot}.json");
        let text = serde_json::to_vec(reach).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        let lock = dir.write_locked(&name, &text)?;
        Ok(Self { dir, name, _lock: lock })
    }
}

impl Drop for RunningShare {
    fn drop(&mut self) {
        self.dir.remove(&self.name);
    }
}

/// The running share under a slot.
///
/// # Errors
/// [`Kind::Disk`].
pub(super) fn find(state: &StateDir, slot: Slot) -> Result<Option<EmbeddedAddress>> {
    let dir = state.subfolder("running")?;
    let name = format!("{slot}.json");
    if !is_locked(&dir.path(&name)) {
        return Ok(None);
    }
    let text = dir.read(&name, LONGEST_FILE)?.unwrap_or_default();
    Ok(serde_json::from_slice(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_known_for_as_long_as_it_runs() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let reach = EmbeddedAddress { addr: "127.0.0.1:4433".parse().unwrap(), pin: Pin::new([1; 32]) };
        let slot = Slot::from_number(7);
        let running = RunningShare::announce(&state, slot, &reach).unwrap();
        assert_eq!(find(&state, slot).unwrap(), Some(reach.clone()));
        assert_eq!(find(&state, Slot::from_number(8)).unwrap(), None);
        let path = running.dir.path(&running.name);
        drop(running);
        assert!(!path.exists());
        std::fs::write(&path, serde_json::to_vec(&reach).unwrap()).unwrap(); // left behind by a killed process
        assert_eq!(find(&state, slot).unwrap(), None);
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let _next = RunningShare::announce(&state, Slot::from_number(9), &reach).unwrap();
        assert!(!path.exists());
    }
}
