//! What a receiver keeps to come back with: see [`crate::crypto::resume`].
//!
//! A file a download in the state folder, gone when the download is whole. It is found by the code, which is not in it.

use std::{fs::File, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    code::Code,
    crypto::Resumption,
    error::{Error, Kind, Result},
    state::StateDir,
};

const LONGEST_FILE: u64 = 4096;

/// A download that nobody goes on with for so long is given up.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a receiver comes back with: to the sender, and to the relay.
#[derive(Debug, Clone)]
pub(crate) struct StoredResumption {
    /// It has been with this sender.
    pub(crate) resumption: Resumption,
    /// It has been with a sender at this slot: the relay says whether that is away or gone for good.
    pub(crate) pass: Vec<u8>,
}

/// A folder that holds them.
#[derive(Debug, Clone)]
pub struct ResumptionStore(StateDir);

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct ResumptionFile {
    id: [u8; 16],
    key: [u8; 32],
    /// Tells whether a code is the one that it belongs to.
    code: [u8; 32],
    /// For the relay.
    pass: Vec<u8>,
}

impl ResumptionStore {
    /// In this state folder.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub fn open(state: &StateDir) -> Result<Self> {
        let dir = state.subfolder("resumptions")?;
        dir.sweep(LIFE, |_| true);
        Ok(Self(dir))
    }

    /// What to come back with to the share behind a code, where no other process does. A file that is damaged is not
    /// believed.
    pub(crate) fn claim(&self, code: &Code) -> Option<ResumptionClaim> {
        let of_slot = format!("{}-", code.slot());
        self.0.file_names().into_iter().filter(|name| name.starts_with(&of_slot)).find_map(|name| {
            let text = Zeroizing::new(self.0.read(&name, LONGEST_FILE).ok()??);
            let kept: ResumptionFile = serde_json::from_slice(&text).ok()?;
            let is_of_code = blake3::Hash::from_bytes(kept.code) == check(&kept.key, &kept.id, code);
            let resumption = Resumption { id: kept.id, key: Zeroizing::new(kept.key) };
            let known = StoredResumption { resumption, pass: kept.pass.clone() };
            let lock = is_of_code.then(|| self.0.open_lock(&name).ok()).flatten()?;
            lock.try_lock().ok()?;
            Some(ResumptionClaim { dir: self.0.clone(), name, known, _lock: lock })
        })
    }

    /// Keeps what the sender has welcomed this receiver with.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(crate) fn keep(&self, code: &Code, known: StoredResumption) -> Result<ResumptionClaim> {
        let Resumption { id, key } = &known.resumption;
        let kept = ResumptionFile { id: *id, key: **key, code: check(key, id, code), pass: known.pass.clone() };
        let text = serde_json::to_vec(&kept).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        let name = format!("{}-{:016x}", code.slot(), rand::random::<u64>());
        let lock = self.0.write_locked(&name, &Zeroizing::new(text))?;
        Ok(ResumptionClaim { dir: self.0.clone(), name, known, _lock: lock })
    }
}

/// What this process comes back with, and no other.
#[derive(Debug)]
pub(crate) struct ResumptionClaim {
    dir: StateDir,
    name: String,
    pub(crate) known: StoredResumption,
    _lock: File,
}

impl ResumptionClaim {
    /// The download is whole.
    pub(crate) fn forget(self) {
        self.dir.remove(&self.name);
    }
}

/// Of the code under the key that is as secret: nobody who has not both learns anything.
fn check(key: &[u8; 32], id: &[u8; 16], code: &Code) -> [u8; 32] {
    *blake3::Hasher::new_keyed(key).update(id).update(code.reveal().as_str().as_bytes()).finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        code::{Secret, Slot},
        crypto::ShareKey,
    };

    #[test]
    fn it_is_found_by_its_code_only() {
        let home = tempfile::tempdir().unwrap();
        let kept = ResumptionStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let code = |slot| Code::new(Slot::from_number(slot), Secret::random(8).unwrap());
        let (one, beside, other) = (code(1), code(1), code(2));
        let known = |n| StoredResumption { resumption: ShareKey::random().issue_resumption(&[n]), pass: vec![n] };
        let [first, second] = [1, 2].map(known);
        drop((kept.keep(&one, first.clone()).unwrap(), kept.keep(&beside, second.clone()).unwrap()));
        let claim = kept.claim(&one).unwrap();
        assert_eq!((claim.known.resumption.id, &claim.known.pass), (first.resumption.id, &first.pass));
        assert!(kept.claim(&one).is_none(), "another process has it");
        assert_eq!(*kept.claim(&beside).unwrap().known.resumption.key, *second.resumption.key);
        assert!(kept.claim(&other).is_none());
        claim.forget();
        assert!(kept.claim(&one).is_none() && kept.claim(&beside).is_some());
        let file = kept.0.path(&kept.0.file_names()[0]);
        assert!(!std::fs::read_to_string(&file).unwrap().contains(beside.reveal().as_str()));
        std::fs::write(file, "{}").unwrap();
        assert!(kept.claim(&beside).is_none());
    }
}
