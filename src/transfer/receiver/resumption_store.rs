//! The store of the credentials with which another process resumes a receiver's downloads: see
//! [`crate::crypto::resume`].
//!
//! The state folder has a file per download, which is removed when the download is complete. The name of a file begins
//! with the slot of its code. The file contains a keyed hash of the code, and not the code itself.

use std::{fs::File, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    code::Code,
    crypto::Resumption,
    error::{Error, Kind, Result},
    state::StateDir,
};

/// The maximum size of a file, in bytes.
const MAX_FILE_SIZE: u64 = 4096;

/// How long a download that is not resumed stays in the store.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The credentials with which a receiver resumes a download.
#[derive(Debug, Clone)]
pub(super) struct StoredResumption {
    /// Proves to the sender that it has confirmed this receiver before.
    pub(super) resumption: Resumption,
    /// Proves to the relay that it has bridged this receiver to this sender before. The relay then replies whether a
    /// disconnected sender may return.
    pub(super) pass: Vec<u8>,
}

impl StoredResumption {
    /// Whether both have the same receiver id.
    pub(super) fn has_same_id(&self, other: &Self) -> bool {
        self.resumption.id == other.resumption.id
    }
}

/// The folder of the stored resumptions.
#[derive(Debug, Clone)]
pub struct ResumptionStore(StateDir);

impl ResumptionStore {
    /// Opens the store in a state folder, and removes expired files.
    ///
    /// # Errors
    /// [`Kind::Disk`] if its folder cannot be created.
    pub fn open(state: &StateDir) -> Result<Self> {
        let dir = state.subfolder("resumptions")?;
        dir.sweep(LIFETIME, |_| true);
        Ok(Self(dir))
    }

    /// Claims the resumption for a code, unless another process has claimed it. Ignores damaged files.
    pub(super) fn claim(&self, code: &Code) -> Option<ResumptionClaim> {
        let prefix = format!("{}-", code.slot());
        let names = self.0.file_names().into_iter().filter(|name| name.starts_with(&prefix));
        names.into_iter().find_map(|name| self.claim_file(name, code))
    }

    fn claim_file(&self, name: String, code: &Code) -> Option<ResumptionClaim> {
        let text = Zeroizing::new(self.0.read(&name, MAX_FILE_SIZE).ok()??);
        let file: ResumptionFile = serde_json::from_slice(&text).ok()?;
        if blake3::Hash::from_bytes(file.code) != code_check(&file.key, &file.id, code) {
            return None;
        }
        let lock = self.0.open_lock(&name).ok()?;
        lock.try_lock().ok()?;
        let resumption = Resumption { id: file.id, key: Zeroizing::new(file.key) };
        let resumption = StoredResumption { resumption, pass: file.pass.clone() };
        Some(ResumptionClaim { dir: self.0.clone(), name, resumption, _lock: lock })
    }

    /// Stores and claims the credentials that the sender behind `code` has granted.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be written.
    pub(super) fn store(&self, code: &Code, granted: StoredResumption) -> Result<ResumptionClaim> {
        let Resumption { id, key } = &granted.resumption;
        let file = ResumptionFile { id: *id, key: **key, code: code_check(key, id, code), pass: granted.pass.clone() };
        let text = serde_json::to_vec(&file).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        let name = format!("{}-{:016x}", code.slot(), rand::random::<u64>());
        let lock = self.0.write_locked(&name, &Zeroizing::new(text))?;
        Ok(ResumptionClaim { dir: self.0.clone(), name, resumption: granted, _lock: lock })
    }
}

/// A stored resumption that belongs to this process until it is dropped.
#[derive(Debug)]
pub(super) struct ResumptionClaim {
    dir: StateDir,
    name: String,
    pub(super) resumption: StoredResumption,
    _lock: File,
}

impl ResumptionClaim {
    /// Removes the file, because the download is complete.
    pub(super) fn remove(self) {
        self.dir.remove(&self.name);
    }
}

/// The content of a file.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct ResumptionFile {
    id: [u8; 16],
    key: [u8; 32],
    /// The result of [`code_check`].
    code: [u8; 32],
    /// The pass for the relay.
    pass: Vec<u8>,
}

/// Returns the value by which a file identifies its code.
///
/// It is a hash of the code under the resumption key. The key is as secret as the code, so the value alone cannot test
/// a guess of the code.
fn code_check(key: &[u8; 32], id: &[u8; 16], code: &Code) -> [u8; 32] {
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
    fn a_resumption_is_claimed_only_with_its_code_and_by_one_process() {
        let home = tempfile::tempdir().unwrap();
        let store = ResumptionStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let code = |slot| Code::new(Slot::from_number(slot), Secret::random(8).unwrap());
        let (one, same_slot, other) = (code(1), code(1), code(2));
        let granted = |n| StoredResumption { resumption: ShareKey::random().issue_resumption(&[n]), pass: vec![n] };
        let [first, second] = [1, 2].map(granted);
        drop((store.store(&one, first.clone()).unwrap(), store.store(&same_slot, second.clone()).unwrap()));
        let claim = store.claim(&one).unwrap();
        let claimed = &claim.resumption;
        assert_eq!((claimed.resumption.id, &claimed.pass), (first.resumption.id, &first.pass));
        assert!(store.claim(&one).is_none(), "it is claimed already");
        assert_eq!(*store.claim(&same_slot).unwrap().resumption.resumption.key, *second.resumption.key);
        assert!(store.claim(&other).is_none());
        claim.remove();
        assert!(store.claim(&one).is_none() && store.claim(&same_slot).is_some());
        let file = store.0.path(&store.0.file_names()[0]);
        assert!(!std::fs::read_to_string(&file).unwrap().contains(same_slot.reveal().as_str()));
        std::fs::write(file, "{}").unwrap();
        assert!(store.claim(&same_slot).is_none());
    }
}
