//! The entries that an incomplete download has saved.
//!
//! If the sender cannot send some files, the other entries are published. The staging folder then remains, with a
//! record of them in place of the content. The next download of the share adds the missing files to the folders that
//! this one has created, and replaces files that it has saved if the sender has newer ones. It leaves alone whatever
//! the user has changed meanwhile.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
};

use cap_std::fs::{Dir, Metadata};
use serde::{Deserialize, Serialize};

use super::{
    attributes::mtime,
    conflict::ConflictOutcome,
    journal::FileIdentity,
    open_options,
    staging_layout::{SAVED, open_by_name},
};
use crate::manifest::{Entry, EntryKind, Mtime};

/// The largest record in bytes: a million entries with paths of 500 bytes.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// The saved entries, by their path in the share.
pub(super) type SavedEntries = HashMap<String, SavedEntry>;

/// An entry that an incomplete download has saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedEntry {
    identity: Option<FileIdentity>,
    /// The version on the disk. It is not exactly the offered one if the disk stores times less precisely.
    on_disk: FileVersion,
    /// The version that the sender offered.
    offered: FileVersion,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileVersion {
    size: u64,
    mtime: Option<Mtime>,
}

impl SavedEntry {
    /// Describes an entry that is on the disk with this metadata.
    pub(super) fn new(entry: &Entry, meta: &Metadata) -> Self {
        Self { identity: FileIdentity::of(meta), on_disk: FileVersion::of(meta), offered: FileVersion::offered(entry) }
    }

    /// Returns the outcome of `entry`, whose target exists; `None` if the target is not what was saved.
    pub(super) fn outcome(&self, entry: &Entry, existing: &Metadata) -> Option<ConflictOutcome> {
        let is_same = FileIdentity::of(existing) == self.identity;
        match entry.kind {
            EntryKind::Folder => (is_same && existing.is_dir()).then_some(ConflictOutcome::Merge),
            EntryKind::Link { .. } => (is_same && existing.is_symlink()).then_some(ConflictOutcome::Published),
            EntryKind::File { .. } if !(is_same && existing.is_file()) => None,
            EntryKind::File { .. } if FileVersion::of(existing) != self.on_disk => None,
            EntryKind::File { .. } if FileVersion::offered(entry) == self.offered => Some(ConflictOutcome::Published),
            EntryKind::File { .. } => Some(ConflictOutcome::Replace),
        }
    }
}

impl FileVersion {
    fn of(meta: &Metadata) -> Self {
        Self { size: meta.len(), mtime: mtime(meta) }
    }

    fn offered(entry: &Entry) -> Self {
        Self { size: entry.size().unwrap_or(0), mtime: entry.mtime }
    }
}

/// Writes the record to a staging folder.
pub(super) fn write(staging: &Dir, saved: &SavedEntries) -> io::Result<()> {
    let bytes = postcard::to_stdvec(saved).map_err(io::Error::other)?;
    match staging.remove_file(SAVED) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    staging.open_with(SAVED, &open_options::for_creating(0o600))?.write_all(&bytes)
}

/// Reads the record that an incomplete download has left in the staging folder `staging` in `base`. A damaged record is
/// ignored.
pub(super) fn read(base: &Dir, staging: &str) -> SavedEntries {
    let read = || {
        let mut bytes = Vec::new();
        let staging = open_by_name(base, staging)?;
        staging.open_with(SAVED, &open_options::for_reading())?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    };
    read().unwrap_or_default()
}
