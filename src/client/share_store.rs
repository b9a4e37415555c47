//! The share store: interrupted shares, saved in the state folder.
//!
//! Sharing the same paths through the same relay again restores the code, the share id and the guess budget. The
//! process of a share holds a lock while it runs, so a second process for the same paths creates a separate share.

mod held_share;
mod listed_share;
mod share_file;
mod share_folder;
mod stored_path;

use std::{cmp::Reverse, path::PathBuf, time::Duration};

pub(crate) use self::{held_share::HeldShare, listed_share::ListedShare};
use self::{share_file::ShareFile, share_folder::ShareFolder, stored_path::encode_path};
use crate::{
    code::RelaySpec,
    error::{Error, Kind, Result},
    manifest::ShareId,
    state::{StateDir, unix_time},
};

/// A damaged share file, and a lock or a guess budget without a share, is removed after this time.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The share store of a user.
pub(crate) struct ShareStore {
    folder: ShareFolder,
}

impl ShareStore {
    /// Opens the store, and creates its folder if it is missing.
    pub(crate) fn open(state: &StateDir) -> Result<Self> {
        Ok(Self { folder: ShareFolder::open(state)? })
    }

    /// Holds the share of these paths through this relay, in the store of `state`. Nothing is stored if there is no
    /// state folder, and for a pipe or a text, which have no paths: a later process cannot share them again, and a text
    /// may be a secret.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the folder cannot be used, [`Kind::Usage`] if a path cannot be made absolute.
    pub(crate) fn hold(
        state: Option<&StateDir>,
        paths: &[PathBuf],
        relay: Option<&RelaySpec>,
        keep: Duration,
    ) -> Result<HeldShare> {
        let relay = relay.map(|spec| spec.addr.to_string());
        match state.filter(|_| !paths.is_empty()) {
            Some(state) => Self::open(state)?.acquire(paths, relay.as_deref(), keep),
            None => HeldShare::without_store(paths, relay.as_deref(), keep),
        }
    }

    /// Returns the share of these paths through this relay: the most recently used one that is not running, or a new
    /// one.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the folder cannot be used, [`Kind::Usage`] if a path cannot be made absolute.
    fn acquire(&self, paths: &[PathBuf], relay: Option<&str>, keep: Duration) -> Result<HeldShare> {
        self.sweep();
        let paths = paths.iter().map(|path| encode_path(path)).collect::<Result<Vec<_>>>()?;
        let mut files = self.saved();
        files.retain(|file| file.paths == paths && file.relay.as_deref() == relay);
        for mut file in files {
            if let Some(lock) = self.folder.try_lock(file.share)? {
                file.keep = keep.as_secs();
                return Ok(HeldShare::saved(self.folder.clone(), file, lock));
            }
        }
        let file = ShareFile::new(ShareId::random(), paths, relay, keep);
        match self.folder.try_lock(file.share)? {
            Some(lock) => Ok(HeldShare::new(self.folder.clone(), file, lock)),
            None => Err(Error::new(Kind::Disk, "the id of the new share is already in use")),
        }
    }

    /// Returns all shares, the most recently used first.
    pub(crate) fn list(&self) -> Vec<ListedShare> {
        self.sweep();
        let listed = |file: ShareFile| ListedShare { running: self.folder.is_locked(file.share), file };
        self.saved().into_iter().map(listed).collect()
    }

    /// Forgets a share that is not running.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the share is running, [`Kind::Disk`] if it cannot be locked.
    pub(crate) fn forget(&self, listed: &ListedShare) -> Result<()> {
        let Some(_lock) = self.folder.try_lock(listed.file.share)? else {
            return Err(Error::new(Kind::Usage, format!("share “{}” is running", listed.name()))
                .hint("stop it with Ctrl-C in its terminal"));
        };
        self.folder.remove(listed.file.share);
        Ok(())
    }

    /// Returns the shares that have a code, the most recently used first.
    fn saved(&self) -> Vec<ShareFile> {
        let mut files = self.folder.read_all();
        files.retain(|file| file.code.is_some());
        files.sort_by_key(|file| Reverse(file.used));
        files
    }

    /// Removes expired shares, shares whose process was killed before they got a code, and orphaned files.
    fn sweep(&self) {
        let now = unix_time();
        for file in self.folder.read_all() {
            let is_expired = now.saturating_sub(file.used) > file.keep;
            if (is_expired || file.code.is_none())
                && let Ok(Some(_lock)) = self.folder.try_lock(file.share)
            {
                self.folder.remove(file.share);
            }
        }
        self.folder.remove_orphans(ORPHAN_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::{share_folder::ShareFileKind, *};
    use crate::{
        code::{Code, Secret, Slot},
        sync::PROCESS_START,
    };

    const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

    fn code() -> Code {
        Code::new(Slot::from_number(5), Secret::random(5).unwrap())
    }

    #[test]
    fn the_same_paths_restore_their_share_unless_it_is_running() {
        let _guard = PROCESS_START.lock();
        let home = tempfile::tempdir().unwrap();
        let store = ShareStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let paths = [home.path().to_owned()];
        let acquire = |relay| store.acquire(&paths, relay, KEEP).unwrap();
        let (mut first, code) = (acquire(Some("a")), code());
        assert!(first.code().is_none());
        first.save(&code, &first.key(), b"ticket").unwrap();
        let share = first.share();
        let second = acquire(Some("a"));
        assert!(second.code().is_none() && second.share() != share, "the first one is running");
        assert!(store.list()[0].running);
        assert_eq!(store.forget(&store.list()[0]).unwrap_err().kind(), Kind::Usage);
        drop((first, second));
        assert!(acquire(None).code().is_none() && acquire(Some("b")).code().is_none(), "through another relay");
        let mut restored = acquire(Some("a"));
        assert_eq!(
            (restored.share(), restored.code(), restored.ticket()),
            (share, Some(code), Some(b"ticket".to_vec()))
        );
        restored.forget();
        assert!(store.list().is_empty());
        assert_ne!(acquire(Some("a")).share(), share);
    }

    #[test]
    fn expired_and_damaged_shares_are_not_restored() {
        let _guard = PROCESS_START.lock();
        let home = tempfile::tempdir().unwrap();
        let store = ShareStore::open(&StateDir::open(home.path()).unwrap()).unwrap();
        let paths = [home.path().to_owned()];
        let mut old = store.acquire(&paths, None, KEEP).unwrap();
        old.save(&code(), &old.key(), b"").unwrap();
        let mut file = store.folder.read_all().remove(0);
        file.used -= KEEP.as_secs() + 1;
        store.folder.write(&file).unwrap();
        assert_eq!(store.list().len(), 1, "it is running");
        drop(old);
        assert!(store.list().is_empty());
        let mut next = store.acquire(&paths, None, KEEP).unwrap();
        next.save(&code(), &next.key(), b"").unwrap();
        let path = store.folder.path(next.share(), ShareFileKind::Share);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..50]).unwrap();
        drop(next);
        assert!(store.list().is_empty() && store.acquire(&paths, None, KEEP).unwrap().code().is_none());
    }
}
