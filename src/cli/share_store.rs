//! The shares that are kept when their process ends otherwise than on purpose: the same paths then get their code, their
//! share id and their guess budget back.
//!
//! Each has a file in the state folder, named after its share id, with the budget of its guesses beside it. Its process
//! holds a lock for as long as it runs, so that a second one for the same paths gets a share of its own.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    code::{Code, Pin, RelaySpec, Revealed},
    error::{Error, Kind, Result},
    manifest::ShareId,
    state::{StateDir, is_locked, open_file, unix_time},
    transfer::ShareKey,
};

const LONGEST_FILE: u64 = 1024 * 1024;

/// A share that was not used for so long is forgotten, unless it was asked for more.
pub(super) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of a share. The code and the key belong together: they are made, replaced and forgotten as one.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct ShareFile {
    #[zeroize(skip)]
    share: ShareId,
    /// What is shared: absolute paths, percent-encoded where they are not plain.
    #[zeroize(skip)]
    paths: Vec<String>,
    /// The relay that it is shared through, as it was named; none for one of its own.
    #[zeroize(skip)]
    relay: Option<String>,
    /// The key that this relay has shown, where no public authority vouches for it.
    #[zeroize(skip)]
    #[serde(default)]
    pin: Option<Pin>,
    #[zeroize(skip)]
    name: String,
    code: Option<String>,
    /// What receivers come back with is made of it: see [`crate::crypto::resume`].
    key: [u8; 32],
    ticket: Vec<u8>,
    /// The port of its own relay.
    #[zeroize(skip)]
    port: Option<u16>,
    /// Seconds since 1970.
    #[zeroize(skip)]
    made: u64,
    #[zeroize(skip)]
    used: u64,
    /// Seconds after its last use for which it is kept.
    #[zeroize(skip)]
    keep: u64,
}

/// The folder that holds them.
#[derive(Clone)]
pub(super) struct ShareStore(StateDir);

/// A kept share, and whether its process runs.
pub(super) struct ListedShare {
    record: ShareFile,
    pub(super) running: bool,
}

impl ShareStore {
    pub(super) fn open(state: &StateDir) -> Result<Self> {
        state.subfolder("shares").map(Self)
    }

    /// The share of these paths through this relay: the one that was used last and whose process does not run, or a new
    /// one.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(super) fn take(&self, paths: &[PathBuf], relay: Option<&str>, keep: Duration) -> Result<HeldShare> {
        self.sweep();
        let paths = paths.iter().map(|path| text_of(path)).collect::<Result<Vec<_>>>()?;
        let mut records = self.records();
        records.retain(|record| record.paths == paths && record.relay.as_deref() == relay && record.code.is_some());
        records.sort_by_key(|record| std::cmp::Reverse(record.used));
        for mut record in records {
            if let Some(lock) = self.lock(record.share)? {
                record.keep = keep.as_secs();
                return Ok(HeldShare { store: self.clone(), record, on_disk: true, renewed: false, _lock: lock });
            }
        }
        let share = ShareId::random();
        let Some(lock) = self.lock(share)? else {
            return Err(Error::new(Kind::Disk, "a new share is in use already"));
        };
        let record = ShareFile {
            share,
            paths,
            relay: relay.map(str::to_owned),
            pin: None,
            name: String::new(),
            code: None,
            key: rand::random(),
            ticket: Vec::new(),
            port: None,
            made: unix_time(),
            used: unix_time(),
            keep: keep.as_secs(),
        };
        Ok(HeldShare { store: self.clone(), record, on_disk: false, renewed: false, _lock: lock })
    }

    /// All that are kept, the last used first.
    pub(super) fn list(&self) -> Vec<ListedShare> {
        self.sweep();
        let mut records = self.records();
        records.sort_by_key(|record| std::cmp::Reverse(record.used));
        let listed = |record: ShareFile| ListedShare { running: is_locked(&self.lock_of(record.share)), record };
        records.into_iter().filter(|record| record.code.is_some()).map(listed).collect()
    }

    /// Forgets a share.
    ///
    /// # Errors
    /// [`Kind::Usage`] where its process runs, [`Kind::Disk`].
    pub(super) fn forget(&self, listed: &ListedShare) -> Result<()> {
        match self.lock(listed.record.share)? {
            Some(_lock) => {
                self.remove(listed.record.share);
                Ok(())
            }
            None => Err(Error::new(Kind::Usage, format!("“{}” is being shared now", listed.record.name))
                .hint("end it where it runs, with Ctrl-C")),
        }
    }

    /// Removes what was not used for too long, and what is left of processes that were killed before they had a code.
    fn sweep(&self) {
        let now = unix_time();
        for record in self.records() {
            let is_old = now.saturating_sub(record.used) > record.keep;
            if (is_old || record.code.is_none())
                && let Ok(Some(_lock)) = self.lock(record.share)
            {
                self.remove(record.share);
            }
        }
        // What is damaged, and budgets and locks without a share.
        let is_record = |path: &Path| path.file_name().and_then(|name| self.record(name.to_str()?)).is_some();
        self.0.sweep(KEEP, |path| !is_record(&path.with_extension("json")));
    }

    fn remove(&self, share: ShareId) {
        for kind in ["json", "guesses", "lock"] {
            self.0.remove(&format!("{share}.{kind}"));
        }
    }

    /// All files that can be read. One that cannot is not believed.
    fn records(&self) -> Vec<ShareFile> {
        self.0.file_names().iter().filter(|name| name.ends_with(".json")).filter_map(|name| self.record(name)).collect()
    }

    fn record(&self, name: &str) -> Option<ShareFile> {
        let text = Zeroizing::new(self.0.read(name, LONGEST_FILE).ok()??);
        let record: ShareFile = serde_json::from_slice(&text).ok()?;
        (name == format!("{}.json", record.share)).then_some(record)
    }

    fn lock_of(&self, share: ShareId) -> PathBuf {
        self.0.path(&format!("{share}.lock"))
    }

    /// Locks a share; `None` where its process runs.
    fn lock(&self, share: ShareId) -> Result<Option<File>> {
        let path = self.lock_of(share);
        let failed = |e| Error::new(Kind::Disk, format!("cannot lock {}: {e}", path.display()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = open_file(&options, &path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

impl ListedShare {
    pub(super) fn share(&self) -> String {
        self.record.share.to_string()
    }

    pub(super) fn name(&self) -> &str {
        &self.record.name
    }

    pub(super) fn code(&self) -> Option<Revealed> {
        self.record.code().map(|code| code.reveal())
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.record.paths.iter().map(|text| path_of(text)).collect()
    }

    pub(super) fn relay(&self) -> Option<&str> {
        self.record.relay.as_deref()
    }

    /// The relay, and the key that it has shown.
    pub(super) fn relay_spec(&self) -> Option<RelaySpec> {
        let addr = self.relay()?.parse().ok()?;
        Some(RelaySpec { addr, pin: self.record.pin })
    }

    /// What takes its slot at the relay back.
    pub(super) fn ticket(&self) -> Option<Vec<u8>> {
        self.record.ticket()
    }

    pub(super) fn made(&self) -> u64 {
        self.record.made
    }

    /// When it is forgotten if it is not used again.
    pub(super) fn expires(&self) -> u64 {
        self.record.used.saturating_add(self.record.keep)
    }

    /// Whether these words mean it: its code, one of its paths, or the beginning of its id.
    pub(super) fn is_meant(&self, words: &str) -> bool {
        /// Fewer characters of an id are no name.
        const ABBREVIATED: usize = 4;
        let is_code = Code::parse(words).is_ok_and(|code| self.record.code() == Some(code));
        let is_path = ways_to(words).any(|path| self.paths().contains(&path));
        is_code || is_path || (words.len() >= ABBREVIATED && self.share().starts_with(&words.to_lowercase()))
    }

    /// Whether this path is all of it.
    pub(super) fn is_all(&self, words: &str) -> bool {
        ways_to(words).any(|path| self.paths() == [path])
    }
}

/// What a path may be kept as: where it leads, and where it would if links were not followed.
fn ways_to(words: &str) -> impl Iterator<Item = PathBuf> {
    [std::fs::canonicalize(words), std::path::absolute(words)].into_iter().flatten()
}

impl ShareFile {
    fn code(&self) -> Option<Code> {
        self.code.as_deref().and_then(|text| Code::parse(text).ok())
    }

    fn ticket(&self) -> Option<Vec<u8>> {
        Some(self.ticket.clone()).filter(|ticket| !ticket.is_empty())
    }
}

/// A share that this process has to itself.
pub(super) struct HeldShare {
    store: ShareStore,
    record: ShareFile,
    /// Whether there is a file of it.
    on_disk: bool,
    /// Whether it is to have another code than the one in that file.
    renewed: bool,
    _lock: File,
}

impl HeldShare {
    pub(super) fn share(&self) -> ShareId {
        self.record.share
    }

    /// The code of the last time.
    pub(super) fn code(&self) -> Option<Code> {
        self.record.code()
    }

    /// The key that belongs to the code.
    pub(super) fn key(&self) -> ShareKey {
        ShareKey::from_bytes(Zeroizing::new(self.record.key))
    }

    /// What the relay gave the last time, to have the slot back.
    pub(super) fn ticket(&self) -> Option<Vec<u8>> {
        self.record.ticket()
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.record.port
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.record.port = Some(port);
    }

    pub(super) fn set_pin(&mut self, pin: Option<Pin>) {
        self.record.pin = pin;
    }

    pub(super) fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.record.name);
    }

    /// It is to have another code, and what belongs to it. Until that is saved, the old one is kept.
    pub(super) fn renew(&mut self) {
        self.record.key = rand::random();
        self.record.ticket.clear();
        self.record.code = None;
        self.renewed = true;
    }

    /// Where the budget of its guesses is kept.
    pub(super) fn budget(&self) -> (StateDir, String) {
        (self.store.0.clone(), format!("{}.guesses", self.record.share))
    }

    /// The code is good, this key belongs to it, and this ticket is for its slot.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(super) fn save(&mut self, code: &Code, key: &ShareKey, ticket: &[u8]) -> Result<()> {
        self.record.key = *key.expose();
        self.record.code = Some(code.reveal().as_str().to_owned());
        self.record.ticket = ticket.to_vec();
        self.touch()?;
        if std::mem::take(&mut self.renewed) {
            self.store.0.remove(&self.budget().1); // the guesses were at the old code
        }
        Ok(())
    }

    /// It is used now.
    ///
    /// # Errors
    /// [`Kind::Disk`].
    pub(super) fn touch(&mut self) -> Result<()> {
        self.record.used = unix_time();
        let text = serde_json::to_vec(&self.record).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        let text = Zeroizing::new(text);
        self.store.0.write(&format!("{}.json", self.record.share), &text)?;
        self.on_disk = true;
        Ok(())
    }

    /// It has ended on purpose.
    pub(super) fn forget(&mut self) {
        self.on_disk = false;
        self.store.remove(self.record.share);
    }
}

impl Drop for HeldShare {
    /// What never had a code leaves nothing behind.
    fn drop(&mut self) {
        if !self.on_disk {
            self.store.remove(self.record.share);
        }
    }
}

/// A path as text, whatever bytes it has; links in it are followed.
fn text_of(path: &Path) -> Result<String> {
    let absolute = std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(|e| Error::new(Kind::Usage, format!("cannot find {}: {e}", path.display())))?;
    const PLAIN: percent_encoding::AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    Ok(percent_encode(absolute.as_os_str().as_encoded_bytes(), &PLAIN).to_string())
}

fn path_of(text: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    #[cfg(unix)]
    return <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into();
    #[cfg(not(unix))]
    OsString::from(String::from_utf8_lossy(&bytes).into_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{Secret, Slot};

    fn code() -> Code {
        Code::new(Slot::from_number(5), Secret::random(5).unwrap())
    }

    #[test]
    fn the_same_paths_get_their_share_back_unless_it_runs() {
        let home = tempfile::tempdir().unwrap();
        let store = ShareStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let paths = [home.path().to_owned()];
        let take = |relay| store.take(&paths, relay, KEEP).unwrap();
        let (mut one, code) = (take(Some("a")), code());
        assert!(one.code().is_none());
        one.save(&code, &one.key(), b"ticket").unwrap();
        let share = one.share();
        let second = take(Some("a"));
        assert!(second.code().is_none() && second.share() != share, "the first one runs");
        assert!(store.list()[0].running);
        assert_eq!(store.forget(&store.list()[0]).unwrap_err().kind(), Kind::Usage);
        drop((one, second));
        assert!(take(None).code().is_none() && take(Some("b")).code().is_none(), "through another relay");
        let mut again = take(Some("a"));
        assert_eq!((again.share(), again.code(), again.ticket()), (share, Some(code), Some(b"ticket".to_vec())));
        again.forget();
        assert!(store.list().is_empty());
        assert_ne!(take(Some("a")).share(), share);
    }

    #[test]
    fn what_was_not_used_for_too_long_is_gone_and_what_is_damaged_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let store = ShareStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let paths = [home.path().to_owned()];
        let mut old = store.take(&paths, None, KEEP).unwrap();
        old.save(&code(), &old.key(), b"").unwrap();
        old.record.used -= KEEP.as_secs() + 1;
        let text = serde_json::to_vec(&old.record).unwrap();
        let file = format!("{}.json", old.share());
        store.0.write(&file, &text).unwrap();
        assert_eq!(store.list().len(), 1, "it runs");
        drop(old);
        assert!(store.list().is_empty());
        let mut next = store.take(&paths, None, KEEP).unwrap();
        next.save(&code(), &next.key(), b"").unwrap();
        let file = format!("{}.json", next.share());
        let cut = &store.0.read(&file, LONGEST_FILE).unwrap().unwrap()[..50];
        store.0.write(&file, cut).unwrap();
        drop(next);
        assert!(store.list().is_empty() && store.take(&paths, None, KEEP).unwrap().code().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn any_path_survives() {
        use std::os::unix::ffi::OsStringExt;
        for bytes in [&b"/a b/%41/\xff\n"[..], b"/plain", "/ä".as_bytes()] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(path_of(&text_of(&path).unwrap()), path);
        }
    }
}
