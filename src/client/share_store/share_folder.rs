//! The folder of the share store: the files of each share, and their locks.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::share_file::ShareFile;
use crate::{
    error::{Error, Kind, Result},
    manifest::ShareId,
    state::{StateDir, is_locked, open_file},
};

/// The size limit of a share file in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The files of a share. Each is named after the share's id, with an extension for its kind.
#[derive(Clone, Copy)]
pub(super) enum ShareFileKind {
    /// The share itself: a [`ShareFile`] as JSON.
    Share,
    /// The guess budget of its code.
    Guesses,
    /// The lock that its process holds.
    Lock,
}

impl ShareFileKind {
    const ALL: [Self; 3] = [Self::Share, Self::Guesses, Self::Lock];

    fn extension(self) -> &'static str {
        match self {
            Self::Share => "json",
            Self::Guesses => "guesses",
            Self::Lock => "lock",
        }
    }
}

/// The folder of the share store.
#[derive(Clone)]
pub(super) struct ShareFolder {
    dir: StateDir,
}

impl ShareFolder {
    pub(super) fn open(state: &StateDir) -> Result<Self> {
        Ok(Self { dir: state.subfolder("shares")? })
    }

    pub(super) fn dir(&self) -> &StateDir {
        &self.dir
    }

    pub(super) fn file_name(share: ShareId, kind: ShareFileKind) -> String {
        format!("{share}.{}", kind.extension())
    }

    pub(super) fn path(&self, share: ShareId, kind: ShareFileKind) -> PathBuf {
        self.dir.path(&Self::file_name(share, kind))
    }

    /// Returns every share file that can be read. Damaged ones are ignored.
    pub(super) fn read_all(&self) -> Vec<ShareFile> {
        self.dir.file_names().iter().filter(|name| name.ends_with(".json")).filter_map(|name| self.read(name)).collect()
    }

    fn read(&self, name: &str) -> Option<ShareFile> {
        let text = Zeroizing::new(self.dir.read(name, MAX_FILE).ok()??);
        let file: ShareFile = serde_json::from_slice(&text).ok()?;
        (name == Self::file_name(file.share, ShareFileKind::Share)).then_some(file)
    }

    /// Writes a share file.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be written.
    pub(super) fn write(&self, file: &ShareFile) -> Result<()> {
        let text = serde_json::to_vec(file).map_err(|e| Error::new(Kind::Transfer, e.to_string()))?;
        self.dir.write(&Self::file_name(file.share, ShareFileKind::Share), &Zeroizing::new(text))
    }

    /// Removes all files of a share.
    pub(super) fn remove(&self, share: ShareId) {
        for kind in ShareFileKind::ALL {
            self.remove_file(share, kind);
        }
    }

    pub(super) fn remove_file(&self, share: ShareId, kind: ShareFileKind) {
        self.dir.remove(&Self::file_name(share, kind));
    }

    /// Removes files older than `age` that do not belong to a readable share file.
    pub(super) fn remove_orphans(&self, age: Duration) {
        let has_share = |path: &Path| path.file_name().and_then(|name| self.read(name.to_str()?)).is_some();
        self.dir.sweep(age, |path| !has_share(&path.with_extension("json")));
    }

    pub(super) fn is_locked(&self, share: ShareId) -> bool {
        is_locked(&self.path(share, ShareFileKind::Lock))
    }

    /// Locks a share; returns `None` if it is running.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the lock file cannot be opened or locked.
    pub(super) fn try_lock(&self, share: ShareId) -> Result<Option<File>> {
        let path = self.path(share, ShareFileKind::Lock);
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
