//! A top-level entry of a share, from which its files are opened.

use std::{fs, io};

use cap_std::fs::Dir;

use super::{
    fingerprint::DeviceAndInode, followed_link::open_following, open_options, scan_options::LinkPolicy,
    shared_root::SharedRoot,
};

/// Where a top-level entry and everything below it is read from.
#[derive(Debug)]
pub(super) enum ScannedRoot {
    /// A file that the user named.
    File(SharedRoot),
    /// A folder that the user named.
    Folder {
        /// Its path.
        path: SharedRoot,
        /// Identifies the folder that was scanned.
        id: DeviceAndInode,
        /// A handle to it. Only the first folders of a share have one, so that a thousand folders do not exhaust the
        /// file handles of the process.
        handle: Option<Dir>,
    },
}

impl ScannedRoot {
    /// Returns the path that the user named.
    pub(super) fn path(&self) -> &SharedRoot {
        match self {
            Self::File(path) | Self::Folder { path, .. } => path,
        }
    }

    /// Opens the file at the path `below` in a folder, or the file that the user named if `below` is `None`. With
    /// [`LinkPolicy::Follow`], links inside the folder may lead anywhere.
    ///
    /// # Errors
    /// Any I/O error, and [`io::ErrorKind::NotFound`] if the folder is not the one that was scanned.
    pub(super) fn open_file(&self, below: Option<&str>, links: LinkPolicy) -> io::Result<fs::File> {
        let open_below = if links == LinkPolicy::Follow { open_following } else { open_below };
        match (self, below) {
            (Self::File(path), None) => path.open_file(),
            (Self::Folder { handle: Some(dir), .. }, Some(below)) => open_below(dir, below),
            (Self::Folder { path, id, handle: None }, Some(below)) => {
                let dir = path.open_dir()?;
                if DeviceAndInode::of(&dir.dir_metadata()?) != *id {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "its folder was replaced"));
                }
                open_below(&dir, below)
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Opens a file below a folder. Links on the path cannot lead out of the folder. If they lead to another file inside
/// it, which is shared too, its size or its time differs.
fn open_below(dir: &Dir, path: &str) -> io::Result<fs::File> {
    Ok(dir.open_with(path, &open_options::for_reading())?.into_std())
}
