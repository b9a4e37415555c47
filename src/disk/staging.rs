//! A staging folder that this process has locked.

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io,
};

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::{
    accepted::{self, AcceptedOffer},
    durability::Durability,
    errors::disk_error,
    journal::{self, RenameRecord},
    saved_entries::{self, SavedEntries},
    staging_layout::{
        ACCEPTED, FILES, JOURNAL, JOURNAL_TEMP, LOCK, SAVED, create_staging_folder, open_by_name, open_lock,
        remove_tree, removed_name,
    },
    target::{CreatedFolder, Target},
};
use crate::{
    error::{Error, Kind, Result},
    manifest::Manifest,
};

/// The number of attempts to lock a staging folder that another process removes at the same time.
const MAX_ATTEMPTS: u32 = 16;

/// A locked staging folder. Dropping it removes or keeps the folder, and unlocks it.
#[derive(Debug)]
pub(super) struct StagingFolder {
    base: Dir,
    name: String,
    folder: Option<Dir>,
    lock: Option<File>,
    on_drop: OnDrop,
    // Dropped last, because this removes the folder that contains the staging folder.
    _created: Option<CreatedFolder>,
}

/// What happens to a staging folder when its owner is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDrop {
    /// It is removed with everything in it.
    Remove,
    /// It remains, so that the download can be resumed.
    Keep,
}

/// The result of [`remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// The staging folder is removed.
    Removed,
    /// A download is writing to it.
    InUse,
}

impl StagingFolder {
    /// Locks the staging folder of `manifest` in `base`, the folder of `target`. It may be left over from an earlier
    /// download; creates it if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Disk`] if another process has locked it or an I/O operation fails.
    pub(super) fn lock(
        base: Dir,
        created: Option<CreatedFolder>,
        manifest: &Manifest,
        target: &Target,
    ) -> Result<Self> {
        let name = target.staging_name(manifest);
        let in_use = || in_use(&target.printable_name(), &name);
        let failed =
            |e: &io::Error| disk_error("create the staging folder", format!("{}/{name}", target.printable()), e);
        for _ in 0..MAX_ATTEMPTS {
            create_staging_folder(&base, &name).map_err(|e| failed(&e))?;
            let opened = open_by_name(&base, &name).and_then(|folder| Ok((open_lock(&folder)?, folder)));
            let (lock, folder) = match opened {
                Ok(opened) => opened,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue, // its owner has just removed it
                Err(e) => return Err(failed(&e)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use()),
                // Some network file systems have no locks. A download without a lock is better than none.
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(e)) => return Err(failed(&e)),
            }
            if is_removed(&lock).map_err(|e| failed(&e))? || !has_name(&folder, &base, &name) {
                continue;
            }
            let (folder, lock) = (Some(folder), Some(lock));
            return Ok(Self { base, name, folder, lock, on_drop: OnDrop::Remove, _created: created });
        }
        Err(in_use())
    }

    /// Opens the folder for the content, which may be left over from an earlier download; creates it if it does not
    /// exist.
    pub(super) fn open_files(&self) -> io::Result<Dir> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        if !folder.symlink_metadata(FILES).is_ok_and(|meta| meta.is_dir()) {
            match folder.remove_file_or_symlink(FILES) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            folder.create_dir(FILES)?;
        }
        folder.open_dir_nofollow(FILES)
    }

    /// Records the offer that the user has accepted.
    pub(super) fn set_accepted(&self, offer: &AcceptedOffer) -> io::Result<()> {
        accepted::write(self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?, offer)
    }

    /// Writes the journal; see [`journal::write`].
    pub(super) fn write_journal(
        &self,
        manifest: &Manifest,
        renames: Vec<RenameRecord>,
        durability: Durability,
    ) -> io::Result<()> {
        journal::write(self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?, manifest, renames, durability)
    }

    /// Replaces the content and the journal with the record of an incomplete download.
    pub(super) fn set_saved(&self, saved: &SavedEntries) -> io::Result<()> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        saved_entries::write(folder, saved)?;
        self.clear()?;
        folder.remove_file(JOURNAL)
    }

    /// Whether an incomplete download has left a record of what it has saved.
    pub(super) fn has_saved(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.symlink_metadata(SAVED).is_ok())
    }

    /// Sets what happens to the folder when this is dropped.
    pub(super) fn set_on_drop(&mut self, on_drop: OnDrop) {
        self.on_drop = on_drop;
    }

    /// Whether it contains nothing but the lock, the journal and the record of an incomplete download.
    fn is_cleared(&self) -> bool {
        let entries = self.folder.as_ref().and_then(|folder| folder.entries().ok());
        let is_own = |name: &OsStr| [LOCK, JOURNAL, SAVED].iter().any(|own| name == *own);
        entries.is_some_and(|entries| entries.flatten().all(|entry| is_own(&entry.file_name())))
    }

    /// Returns its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes everything but the lock, the journal and the record of an incomplete download.
    fn clear(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for name in [FILES, JOURNAL_TEMP, ACCEPTED] {
            match remove_tree(folder, name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Keep {
            return;
        }
        // Errors are ignored here: the next download of this share reuses whatever remains.
        let _ = self.clear();
        // An open file is never removed: a file system in user space would keep it under another name, and with it the
        // folder. So the folder is renamed while it is locked, and a process that has opened the same lock file detects
        // that. Windows cannot rename a folder with an open file.
        #[cfg(windows)]
        drop(self.lock.take());
        let removed = removed_name();
        let is_renamed = self.is_cleared() && self.base.rename(&self.name, &self.base, &removed).is_ok();
        drop(self.lock.take());
        if let Some(folder) = self.folder.take() {
            let _ = folder.remove_file(LOCK);
            let _ = folder.remove_file(SAVED);
            let _ = folder.remove_file(JOURNAL);
        }
        let _ = self.base.remove_dir(if is_renamed { &removed } else { &self.name });
    }
}

/// Removes the staging folder `name` in `base`, unless a download is writing to it.
///
/// # Errors
/// Any I/O error, also if the folder contains something that is not part of a download.
pub(super) fn remove(base: Dir, name: &str) -> io::Result<Removal> {
    let folder = open_by_name(&base, name)?;
    let lock = open_lock(&folder)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Removal::InUse),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    let base_clone = base.try_clone()?;
    let (folder, lock) = (Some(folder), Some(lock));
    let staging = StagingFolder { base, name: name.to_owned(), folder, lock, on_drop: OnDrop::Remove, _created: None };
    staging.clear()?;
    drop(staging);
    match base_clone.symlink_metadata(name) {
        Ok(_) => Err(io::Error::other("it contains files that are not part of a download")),
        Err(_) => Ok(Removal::Removed),
    }
}

/// Whether the lock file was removed after it was opened. Such a lock protects nothing.
#[cfg(unix)]
fn is_removed(lock: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&lock.metadata()?) == 0)
}

#[cfg(not(unix))]
fn is_removed(_lock: &File) -> io::Result<bool> {
    Ok(false)
}

/// Whether a staging folder still has its name. A folder that is being removed has another one.
#[cfg(unix)]
fn has_name(folder: &Dir, base: &Dir, name: &str) -> bool {
    use cap_std::fs::MetadataExt as _;
    let named = base.symlink_metadata(name);
    folder.dir_metadata().is_ok_and(|own| named.is_ok_and(|named| (own.dev(), own.ino()) == (named.dev(), named.ino())))
}

#[cfg(not(unix))]
fn has_name(_folder: &Dir, base: &Dir, name: &str) -> bool {
    base.symlink_metadata(name).is_ok()
}

fn in_use(target: &str, name: &str) -> Error {
    Error::new(Kind::Disk, format!("another recv is already downloading this share to {target}"))
        .hint(format!("wait until it ends, or save to another place with --out ({name} is locked)"))
}
