//! This tool's own files: its state folder, and the data that downloads have staged. They are never shared: they hold
//! keys and codes, and they change while a share runs.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use cap_std::fs::Metadata;

use super::fingerprint::DeviceAndInode;
use crate::manifest::is_reserved;

/// The end of the state folder's path where `XDG_STATE_HOME` is not set. It identifies the state folders of other users
/// in a share of all homes.
const DEFAULT_STATE_FOLDER: &str = ".local/state/qshare";

/// The most files of a state folder that are looked up. A state folder has a few files for each share and download.
const MAX_FILES: usize = 100_000;

/// The identities of this tool's files and folders. A bind mount and a hard link have the same identity.
#[derive(Debug, Default)]
pub(super) struct OwnFiles {
    folders: Vec<PathBuf>,
    ids: HashSet<DeviceAndInode>,
}

impl OwnFiles {
    /// Looks up the files in these folders, if they exist.
    pub(super) fn find(folders: &[PathBuf]) -> Self {
        let mut own = Self::default();
        for folder in folders {
            if let Ok(folder) = fs::canonicalize(folder) {
                own.add(&folder);
                own.folders.push(folder);
            }
        }
        own
    }

    fn add(&mut self, path: &Path) {
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        let is_folder = meta.is_dir();
        let is_new = self.ids.insert(DeviceAndInode::of(&Metadata::from_just_metadata(meta)));
        if is_folder && is_new && self.ids.len() < MAX_FILES {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|entry| self.add(&entry.path()));
        }
    }

    /// Whether a file or folder with this metadata belongs to this tool.
    #[cfg(unix)]
    pub(super) fn contains(&self, meta: &Metadata) -> bool {
        !self.ids.is_empty() && self.ids.contains(&DeviceAndInode::of(meta))
    }

    #[cfg(not(unix))]
    pub(super) fn contains(&self, _meta: &Metadata) -> bool {
        false
    }

    /// Whether a path without links belongs to this tool, or to a download in progress.
    pub(super) fn contains_path(&self, real: &Path) -> bool {
        self.folders.iter().any(|folder| real.starts_with(folder))
            || real.ends_with(DEFAULT_STATE_FOLDER)
            || real.iter().any(|name| name.to_str().is_some_and(is_reserved))
    }

    /// Whether the folder at this path is the state folder of another user.
    pub(super) fn is_default_state_folder(local_path: &str) -> bool {
        Path::new(local_path).ends_with(DEFAULT_STATE_FOLDER)
    }
}
