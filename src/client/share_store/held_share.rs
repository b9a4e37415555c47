//! A share that this process has locked.

use std::{fs::File, mem, path::PathBuf, time::Duration};

use zeroize::Zeroizing;

use super::{
    share_file::ShareFile,
    share_folder::{ShareFileKind, ShareFolder},
    stored_path::encode_path,
};
use crate::{
    code::{Code, Pin},
    error::Result,
    manifest::ShareId,
    state::{StateDir, unix_time},
    transfer::ShareKey,
};

/// A share that this process has locked. A share that was never saved leaves no files when it is dropped.
pub(crate) struct HeldShare {
    /// `None` if there is no state folder.
    folder: Option<ShareFolder>,
    file: ShareFile,
    /// Whether the share file exists.
    is_saved: bool,
    /// Whether the code is being replaced. Until [`HeldShare::save`], the share file contains the old code.
    is_renewed: bool,
    _lock: Option<File>,
}

impl HeldShare {
    /// Creates a share that has no file yet.
    pub(super) fn new(folder: ShareFolder, file: ShareFile, lock: File) -> Self {
        Self { folder: Some(folder), file, is_saved: false, is_renewed: false, _lock: Some(lock) }
    }

    /// Restores the share of a file.
    pub(super) fn saved(folder: ShareFolder, file: ShareFile, lock: File) -> Self {
        Self { folder: Some(folder), file, is_saved: true, is_renewed: false, _lock: Some(lock) }
    }

    /// Creates a share that is never saved.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] if a path cannot be made absolute.
    pub(super) fn without_store(paths: &[PathBuf], relay: Option<&str>, keep: Duration) -> Result<Self> {
        let paths = paths.iter().map(|path| encode_path(path)).collect::<Result<Vec<_>>>()?;
        let file = ShareFile::new(ShareId::random(), paths, relay, keep);
        Ok(Self { folder: None, file, is_saved: false, is_renewed: false, _lock: None })
    }

    pub(crate) fn share(&self) -> ShareId {
        self.file.share
    }

    /// Returns the saved code.
    pub(crate) fn code(&self) -> Option<Code> {
        self.file.code()
    }

    /// Returns the share key, which belongs to the code.
    pub(crate) fn key(&self) -> ShareKey {
        ShareKey::from_bytes(Zeroizing::new(self.file.key))
    }

    /// Returns the ticket that reclaims the slot at the relay.
    pub(crate) fn ticket(&self) -> Option<Vec<u8>> {
        self.file.ticket()
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.file.port
    }

    pub(crate) fn set_port(&mut self, port: u16) {
        self.file.port = Some(port);
    }

    pub(crate) fn set_pin(&mut self, pin: Option<Pin>) {
        self.file.pin = pin;
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.file.name);
    }

    /// Drops the code, its key and its ticket. The share file contains the old ones until [`HeldShare::save`].
    pub(crate) fn renew(&mut self) {
        self.file.key = rand::random();
        self.file.ticket.clear();
        self.file.code = None;
        self.is_renewed = true;
    }

    /// Returns where the guess budget is stored: a folder and a file name; `None` if there is no state folder.
    pub(crate) fn guess_budget(&self) -> Option<(StateDir, String)> {
        let folder = self.folder.as_ref()?;
        Some((folder.dir().clone(), ShareFolder::file_name(self.file.share, ShareFileKind::Guesses)))
    }

    /// Saves a code that is now valid, its key, and the ticket for its slot.
    ///
    /// # Errors
    /// [`crate::error::Kind::Disk`] if the share file cannot be written.
    pub(crate) fn save(&mut self, code: &Code, key: &ShareKey, ticket: &[u8]) -> Result<()> {
        self.file.key = *key.expose();
        self.file.code = Some(code.reveal().as_str().to_owned());
        self.file.ticket = ticket.to_vec();
        self.touch()?;
        if mem::take(&mut self.is_renewed)
            && let Some(folder) = &self.folder
        {
            // The guesses were spent on the old code.
            folder.remove_file(self.file.share, ShareFileKind::Guesses);
        }
        Ok(())
    }

    /// Saves the current time as the last use.
    ///
    /// # Errors
    /// [`crate::error::Kind::Disk`] if the share file cannot be written.
    pub(crate) fn touch(&mut self) -> Result<()> {
        self.file.used = unix_time();
        if let Some(folder) = &self.folder {
            folder.write(&self.file)?;
            self.is_saved = true;
        }
        Ok(())
    }

    /// Removes the files of a share that ended deliberately.
    pub(crate) fn forget(&mut self) {
        self.is_saved = false;
        self.remove();
    }

    fn remove(&self) {
        if let Some(folder) = &self.folder {
            folder.remove(self.file.share);
        }
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        if !self.is_saved {
            self.remove();
        }
    }
}
