//! The staging folders that downloads have left behind in a folder.

use std::{io, path::Path, time::SystemTime};

use cap_std::{ambient_authority, fs::Dir};

use super::{
    refused_by_disk, shown,
    staging::{self, StagingState},
};
use crate::error::{Error, Kind, Result};

/// A staging folder that was found.
#[derive(Debug)]
pub struct StagedDownload {
    /// Its name.
    pub name: String,
    /// Bytes on the disk that its content takes.
    pub bytes: u64,
    /// Files in it.
    pub files: u64,
    /// Whether a download is writing there.
    pub running: bool,
    /// When something was last written there.
    pub modified: Option<SystemTime>,
}

/// The staging folders of this user in `folder`, by name. What merely looks like one, or is a link, is not among them.
///
/// # Errors
/// [`Kind::Disk`] where the folder cannot be read.
pub fn leftovers(folder: &Path) -> Result<Vec<StagedDownload>> {
    let failed = |e: io::Error| {
        Error::new(Kind::Disk, format!("cannot look into {}: {e}", shown(folder))).hint("name the folder of a download")
    };
    let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
    let mut found = Vec::new();
    for entry in base.entries().map_err(failed)? {
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
        if let Some(StagingState { bytes, files, running, modified }) = staging::look(&base, &name) {
            found.push(StagedDownload { name, bytes, files, running, modified });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes a staging folder, and with it what a download could have gone on with.
///
/// # Errors
/// [`Kind::Disk`] where a download is writing there, or the disk refuses.
pub fn clear(folder: &Path, leftover: &StagedDownload) -> Result<()> {
    let name = &leftover.name;
    let failed = |e: io::Error| refused_by_disk("remove", folder.join(name).display(), &e);
    let base = Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
    match staging::remove(base, name).map_err(failed)? {
        true => Ok(()),
        false => Err(Error::new(Kind::Disk, format!("a recv is writing to {}", folder.join(name).display()))
            .hint("wait for it to end, or stop it")),
    }
}
