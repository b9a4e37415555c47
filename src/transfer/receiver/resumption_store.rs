//! The store of the credentials with which another process resumes a receiver's downloads: see
//! [`crate::crypto::resume`].
//!
//! The state folder has a file per download, which is removed when the download is complete. A later process finds it
//! by the slot, the relay, the target and the selection of the download, so the same command resumes.
//!
//! Nothing in a file depends on the secret half of the code, so a reader of the file cannot test a guess of the code.
//! The API of the store enforces this: it takes only the [`Slot`]. As a consequence, the store cannot tell a wrong
//! secret from the right one, and a user who repeats the command with another secret still resumes the download. That
//! discloses nothing, because this user has the credentials in any case.

use std::{
    env,
    fs::File,
    path::{Path, absolute},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    code::Slot,
    crypto::Resumption,
    error::{Error, Kind, Result},
    selection::Selection,
    state::{StateDir, touch},
};

/// The maximum size of a file, in bytes.
const MAX_FILE_SIZE: u64 = 4096;

/// The time for which a download that is not resumed stays in the store: a weekend. A relay does not assign a slot that
/// had a bridge to another sender within a week, so the slot of a stored download cannot belong to another share yet.
const LIFETIME: Duration = Duration::from_secs(3 * 24 * 60 * 60);

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

/// The stored resumptions of the downloads of one selection from one relay to one target.
#[derive(Debug, Clone)]
pub struct ResumptionStore {
    dir: StateDir,
    /// The result of [`download_id`].
    download: [u8; 32],
}

impl ResumptionStore {
    /// Opens the store in a state folder for downloads of `selection` from `relay`, as the user named it, to `out`, or
    /// to the current folder. Removes expired files.
    ///
    /// # Errors
    /// [`Kind::Disk`] if its folder cannot be created.
    pub fn open(state: &StateDir, relay: &str, out: Option<&Path>, selection: &Selection) -> Result<Self> {
        let dir = state.subfolder("resumptions")?;
        dir.sweep(LIFETIME, |_| true);
        Ok(Self { dir, download: download_id(relay, out, selection) })
    }

    /// Claims the stored resumption for this slot, unless another process has claimed it. Ignores damaged files.
    pub(super) fn claim(&self, slot: Slot) -> Option<ResumptionClaim> {
        let prefix = format!("{slot}-");
        let names = self.dir.file_names().into_iter().filter(|name| name.starts_with(&prefix));
        names.into_iter().find_map(|name| self.claim_file(name))
    }

    fn claim_file(&self, name: String) -> Option<ResumptionClaim> {
        let text = Zeroizing::new(self.dir.read(&name, MAX_FILE_SIZE).ok()??);
        let file: ResumptionFile = serde_json::from_slice(&text).ok()?;
        if file.download != self.download {
            return None;
        }
        let lock = self.dir.open_lock(&name).ok()?;
        lock.try_lock().ok()?;
        let _ = touch(&lock); // on failure, the file expires earlier
        let resumption = Resumption { id: file.id, id_tag: file.id_tag, key: Zeroizing::new(file.key) };
        let resumption = StoredResumption { resumption, pass: file.pass.clone() };
        Some(ResumptionClaim { dir: self.dir.clone(), name, resumption, _lock: lock })
    }

    /// Stores and claims the credentials that the sender with this slot has granted.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the file cannot be written.
    pub(super) fn store(&self, slot: Slot, granted: StoredResumption) -> Result<ResumptionClaim> {
        let name = format!("{slot}-{:016x}", rand::random::<u64>());
        let lock = self.dir.write_locked(&name, &self.encode(&granted)?)?;
        Ok(ResumptionClaim { dir: self.dir.clone(), name, resumption: granted, _lock: lock })
    }

    /// Returns the content of a file.
    fn encode(&self, granted: &StoredResumption) -> Result<Zeroizing<Vec<u8>>> {
        let Resumption { id, id_tag, key } = &granted.resumption;
        let pass = granted.pass.clone();
        let file = ResumptionFile { download: self.download, id: *id, id_tag: *id_tag, key: **key, pass };
        serde_json::to_vec(&file).map(Zeroizing::new).map_err(|e| Error::new(Kind::Transfer, e.to_string()))
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
    /// The result of [`download_id`].
    download: [u8; 32],
    id: [u8; 16],
    id_tag: [u8; 32],
    key: [u8; 32],
    /// The pass for the relay.
    pass: Vec<u8>,
}

/// Returns a hash of the relay, the target and the selection, which has a fixed length and discloses no paths.
fn download_id(relay: &str, out: Option<&Path>, selection: &Selection) -> [u8; 32] {
    let target = match out {
        Some(out) => absolute(out),
        None => env::current_dir(),
    };
    let target = target.unwrap_or_default(); // this fails only in a removed folder, where no download succeeds
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(relay.len() as u64).to_be_bytes()).update(relay.as_bytes()).update(&selection.digest());
    *hasher.update(target.as_os_str().as_encoded_bytes()).finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::ShareKey, selection::Pattern};

    fn granted(n: u8) -> StoredResumption {
        StoredResumption { resumption: ShareKey::random().issue_resumption(&[n]), pass: vec![n] }
    }

    fn store(home: &Path, relay: &str, out: &str) -> ResumptionStore {
        ResumptionStore::open(&StateDir::open(home).unwrap(), relay, Some(Path::new(out)), &Selection::default())
            .unwrap()
    }

    #[test]
    fn a_resumption_is_claimed_by_the_same_command_and_by_one_process() {
        let home = tempfile::tempdir().unwrap();
        let here = store(home.path(), "relay", "out");
        let [one, other] = [1, 2].map(Slot::from_number);
        drop(here.store(one, granted(1)).unwrap());
        for elsewhere in [store(home.path(), "relay", "other"), store(home.path(), "relax", "out")] {
            assert!(elsewhere.claim(one).is_none());
        }
        let only = Selection { only: vec![Pattern::parse("a").unwrap()], exclude: Vec::new() };
        let selected =
            ResumptionStore::open(&StateDir::open(home.path()).unwrap(), "relay", Some(Path::new("out")), &only);
        assert!(selected.unwrap().claim(one).is_none());
        assert!(here.claim(other).is_none());
        let claim = store(home.path(), "relay", "./out").claim(one).unwrap();
        assert_eq!(claim.resumption.pass, [1]);
        assert!(here.claim(one).is_none(), "it is claimed already");
        drop(here.store(one, granted(2)).unwrap());
        assert_eq!(here.claim(one).unwrap().resumption.pass, [2]);
        claim.remove();
        assert_eq!(here.claim(one).unwrap().resumption.pass, [2]);
        let file = here.dir.path(&here.dir.file_names()[0]);
        std::fs::write(file, "{}").unwrap();
        assert!(here.claim(one).is_none());
    }

    /// A reader of a file must not be able to test a guess of the code. So a file contains only random values and
    /// values that derive from the relay, the target and the selection. Add a field here only if it does not depend on
    /// the secret.
    #[test]
    fn a_file_contains_nothing_that_depends_on_the_secret() {
        let home = tempfile::tempdir().unwrap();
        let store = store(home.path(), "relay", "out");
        let granted = granted(1);
        let Resumption { id, id_tag, key } = granted.resumption.clone();
        drop(store.store(Slot::from_number(1), granted).unwrap());
        let text = std::fs::read(store.dir.path(&store.dir.file_names()[0])).unwrap();
        let expected = serde_json::json!({
            "download": download_id("relay", Some(Path::new("out")), &Selection::default()),
            "id": id, "id_tag": id_tag, "key": *key, "pass": [1],
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn files_expire_after_days_without_use() {
        let home = tempfile::tempdir().unwrap();
        let opened = store(home.path(), "relay", "out");
        let slot = Slot::from_number(1);
        let set_age = |age| {
            let file = File::open(opened.dir.path(&opened.dir.file_names()[0])).unwrap();
            let now = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
            file.set_modified(now - age).unwrap();
        };
        drop(opened.store(slot, granted(1)).unwrap());
        set_age(LIFETIME - Duration::from_secs(60));
        assert!(store(home.path(), "relay", "out").claim(slot).is_some(), "this use renews it");
        assert!(store(home.path(), "relay", "out").claim(slot).is_some());
        set_age(LIFETIME + Duration::from_secs(60));
        assert!(store(home.path(), "relay", "out").claim(slot).is_none());
    }
}
