//! The interrupted downloads in a folder, as `qshare parts` lists and removes them.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use cap_fs_ext::DirExt as _;
use cap_std::{ambient_authority, fs::Dir};

use super::{
    accepted,
    disk_usage::DiskUsage,
    errors::printable,
    staging::{self, Removal},
    staging_layout::{FILES, LOCK, is_short_lived_name, is_staging_name, open_by_name, open_lock, remove_tree},
};
use crate::error::{Error, Kind, Result};

/// An interrupted or running download: its staging folder.
#[derive(Debug)]
pub struct StagedDownload {
    /// The name of the staging folder.
    pub name: String,
    /// The final name of the first entry that it will save, unless it is unknown.
    pub first: Option<String>,
    /// The number of other entries at the top level.
    pub others: u64,
    /// The number of files that it will save; 0 if it is unknown.
    pub total_files: u64,
    /// The sum of their sizes, if it is known.
    pub total: Option<u64>,
    /// The disk space that its content takes, in bytes.
    pub bytes: u64,
    /// The number of files in it.
    pub files: u64,
    /// Whether a download is writing to it.
    pub running: bool,
    /// When its content was last modified.
    pub modified: Option<SystemTime>,
}

impl StagedDownload {
    /// Finds the staging folders of this user in `folder`, sorted by name. Ignores links, and folders with only similar
    /// names.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the folder cannot be read.
    pub fn find_in(folder: &Path) -> Result<Vec<Self>> {
        let failed = |e: io::Error| {
            Error::new(Kind::Disk, format!("cannot read {}: {e}", printable(folder)))
                .hint("pass the folder that the download was saved to")
        };
        let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
        let mut found = Vec::new();
        for entry in base.entries().map_err(failed)? {
            let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
            found.extend(Self::inspect(&base, name));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Inspects `name` in `base`; `None` if it is not a staging folder of this user.
    fn inspect(base: &Dir, name: String) -> Option<Self> {
        let folder = is_staging_name(&name).then(|| open_by_name(base, &name).ok()).flatten()?;
        let is_locked = |lock: File| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock));
        let running = match folder.symlink_metadata(LOCK) {
            Ok(meta) if meta.is_file() => is_locked(open_lock(&folder).ok()?),
            Ok(_) => return None,
            Err(_) => false, // its process was killed before it created the lock, or after it removed the lock
        };
        let files = folder.open_dir_nofollow(FILES).ok();
        let modified = files.as_ref().unwrap_or(&folder).dir_metadata().and_then(|meta| meta.modified()).ok();
        let usage = files.as_ref().map_or(DiskUsage::default(), DiskUsage::of);
        let accepted = accepted::read(&folder).ok();
        let (others, total_files) = accepted.as_ref().map_or((0, 0), |offer| (offer.others, offer.files));
        Some(Self {
            name,
            total: accepted.as_ref().and_then(|offer| offer.bytes),
            first: accepted.map(|offer| offer.name),
            others,
            total_files,
            bytes: usage.bytes,
            files: usage.files,
            running,
            modified: modified.map(cap_std::time::SystemTime::into_std),
        })
    }

    /// Removes everything else in `folder` that a download of this user has left over when it was killed. It is not
    /// listed, because nothing resumes from it.
    ///
    /// # Errors
    /// [`Kind::Disk`] if one of them cannot be removed.
    pub fn remove_leftovers(folder: &Path) -> Result<()> {
        let failed = |e: io::Error| {
            Error::new(Kind::Disk, format!("cannot clear {}: {e}", printable(folder))).hint("check its permissions")
        };
        let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
        for entry in base.entries().map_err(failed)? {
            let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
            if is_short_lived_name(&name) && is_left_over(&base, &name) {
                remove_tree(&base, &name).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes this staging folder from `folder`; after that the download cannot be resumed.
    ///
    /// # Errors
    /// [`Kind::Disk`] if a download is writing to it or it cannot be removed.
    pub fn remove(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        let removed =
            Dir::open_ambient_dir(folder, ambient_authority()).and_then(|base| staging::remove(base, &self.name));
        match removed {
            Ok(Removal::Removed) => Ok(()),
            Ok(Removal::InUse) => Err(Error::new(Kind::Disk, format!("{} is in use by a download", path.display()))
                .hint("wait until the download ends, or stop it")),
            Err(e) => Err(Error::new(Kind::Disk, format!("cannot remove {}: {e}", path.display()))
                .hint("check its permissions and what it contains")),
        }
    }
}

/// The age of a short-lived file or folder that no running download still uses.
const LEFT_OVER_AGE: Duration = Duration::from_secs(60 * 60);

/// Whether a file or folder with a short-lived name belongs to this user and is old.
fn is_left_over(base: &Dir, name: &str) -> bool {
    let Ok(meta) = base.symlink_metadata(name) else { return false };
    #[cfg(unix)]
    let is_own = cap_std::fs::MetadataExt::uid(&meta) == rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    let is_own = true;
    let age = meta.modified().ok().and_then(|at| at.into_std().elapsed().ok());
    is_own && age.is_some_and(|age| age >= LEFT_OVER_AGE)
}
