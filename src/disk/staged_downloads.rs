//! The interrupted downloads in a folder: they are listed and removed by `qshare parts`.

use std::{io, path::Path, time::SystemTime};

use cap_std::{ambient_authority, fs::Dir};

use super::{
    refused_by_disk, shown,
    staging::{self, StagingState},
};
use crate::error::{Error, Kind, Result};

/// An interrupted or running download: its staging folder.
#[derive(Debug)]
pub struct StagedDownload {
    /// The name of the staging folder.
    pub name: String,
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
    /// Finds the staging folders of this user in `folder`, sorted by name. Links and folders whose names only resemble a
    /// staging folder's are ignored.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the folder cannot be read.
    pub fn find_in(folder: &Path) -> Result<Vec<Self>> {
        let failed = |e: io::Error| {
            Error::new(Kind::Disk, format!("cannot look into {}: {e}", shown(folder)))
                .hint("name the folder of a download")
        };
        let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
        let mut found = Vec::new();
        for entry in base.entries().map_err(failed)? {
            let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
            if let Some(StagingState { bytes, files, running, modified }) = staging::look(&base, &name) {
                found.push(Self { name, bytes, files, running, modified });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes this staging folder from `folder`. The download can no longer be resumed.
    ///
    /// # Errors
    /// [`Kind::Disk`] if a download is writing to it or the disk refuses.
    pub fn remove(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        let failed = |e: io::Error| refused_by_disk("remove", path.display(), &e);
        let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
        match staging::remove(base, &self.name).map_err(failed)? {
            true => Ok(()),
            false => Err(Error::new(Kind::Disk, format!("a recv is writing to {}", path.display()))
                .hint("wait for it to end, or stop it")),
        }
    }
}
