//! The addresses of the embedded relays on this machine, so that a bare code works on the machine of its sender.
//!
//! Each share has a file in the state folder, named after its slot. Its process holds a lock on the file. An unlocked
//! file is left over from a killed process and is ignored.

use std::{fs::File, net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    code::Slot,
    error::{Error, Kind, Result},
    state::{StateDir, is_locked},
};

/// The size limit of a file in bytes.
const MAX_FILE: u64 = 4096;

/// An unlocked file is removed after this time.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

/// The address of an embedded relay on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EmbeddedAddress {
    /// The loopback address.
    pub(crate) addr: SocketAddr,
}

/// The published address of a running share. Dropping it removes the address.
pub(crate) struct RunningShare {
    dir: StateDir,
    name: String,
    _lock: File,
}

impl RunningShare {
    /// Publishes the address of a share on this machine.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be written.
    pub(crate) fn publish(state: &StateDir, slot: Slot, address: &EmbeddedAddress) -> Result<Self> {
        let dir = state.subfolder("running")?;
        dir.sweep(ORPHAN_AGE, |path| !is_locked(path));
        let name = file_name(slot);
        let text = serde_json::to_vec(address).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        let lock = dir.write_locked(&name, &text)?;
        Ok(Self { dir, name, _lock: lock })
    }
}

impl Drop for RunningShare {
    fn drop(&mut self) {
        self.dir.remove(&self.name);
    }
}

/// Returns the address of the running share that has this slot.
///
/// # Errors
/// [`Kind::Disk`] if the file cannot be read.
pub(crate) fn find_address(state: &StateDir, slot: Slot) -> Result<Option<EmbeddedAddress>> {
    let dir = state.subfolder("running")?;
    let name = file_name(slot);
    if !is_locked(&dir.path(&name)) {
        return Ok(None);
    }
    let text = dir.read(&name, MAX_FILE)?.unwrap_or_default();
    Ok(serde_json::from_slice(&text).ok())
}

fn file_name(slot: Slot) -> String {
    format!("{slot}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_only_while_its_share_runs() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::open(home.path()).unwrap();
        let address = EmbeddedAddress { addr: "127.0.0.1:4433".parse().unwrap() };
        let slot = Slot::from_number(7);
        let running = RunningShare::publish(&state, slot, &address).unwrap();
        assert_eq!(find_address(&state, slot).unwrap(), Some(address.clone()));
        assert_eq!(find_address(&state, Slot::from_number(8)).unwrap(), None);
        let path = running.dir.path(&running.name);
        drop(running);
        assert!(!path.exists());
        std::fs::write(&path, serde_json::to_vec(&address).unwrap()).unwrap(); // the file of a killed process
        assert_eq!(find_address(&state, slot).unwrap(), None);
        File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let _next = RunningShare::publish(&state, Slot::from_number(9), &address).unwrap();
        assert!(!path.exists());
    }
}
