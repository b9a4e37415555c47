//! The journal of the renames that publish a download.
//!
//! A download is published by one rename for each top-level entry, or for each entry of a merged folder. Before the
//! first of them, all of them are recorded in the staging folder. If the process is interrupted between two renames,
//! the next download of the share reads the journal, finds out which entries are already published, and neither reports
//! them as conflicts nor downloads them again.
//!
//! A published entry is identified by inode and birth time. A rename changes neither, and no other file has both.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::{self, Read as _, Write as _},
};

use cap_std::fs::{Dir, Metadata};
use serde::{Deserialize, Serialize};

use super::{
    durability::{Durability, sync_whole_file},
    open_options,
    rooted_dir::RootedDir,
    staging_layout::{JOURNAL, JOURNAL_TEMP, open_by_name},
};
use crate::manifest::{MAX_ENTRIES, Manifest, RawEntry};

/// The largest journal in bytes. A name has at most 255 bytes, and few names differ from the manifest's.
const MAX_BYTES: u64 = 64 * MAX_ENTRIES;

#[derive(Serialize, Deserialize)]
struct RenameJournal {
    /// The digest of the manifest that the entry numbers refer to.
    manifest: [u8; 32],
    renames: Vec<RenameRecord>,
}

/// An entry that was published or is about to be published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RenameRecord {
    entry: u32,
    /// The final name in the system's encoding, if it is not the manifest's.
    name: Option<Vec<u8>>,
    identity: FileIdentity,
}

/// Identifies a file or folder across renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileIdentity {
    inode: u64,
    /// The birth time in seconds and nanoseconds since 1970.
    created: (u64, u32),
}

impl FileIdentity {
    /// Returns the identity of a file or folder; `None` if the system or the file system has no birth time.
    #[cfg(unix)]
    pub(super) fn of(meta: &Metadata) -> Option<Self> {
        let created = meta.created().ok()?.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
        let inode = cap_std::fs::MetadataExt::ino(meta);
        Some(Self { inode, created: (created.as_secs(), created.subsec_nanos()) })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_meta: &Metadata) -> Option<Self> {
        None
    }
}

impl RenameRecord {
    /// Records that entry number `entry`, which the manifest calls `manifest_name`, is published as `final_name`.
    pub(super) fn new(entry: usize, manifest_name: &str, final_name: &OsStr, identity: FileIdentity) -> Self {
        let name = (final_name != OsStr::new(manifest_name)).then(|| final_name.as_encoded_bytes().to_vec());
        Self { entry: entry as u32, name, identity }
    }

    /// Returns the final name of the entry, which the manifest calls `manifest_name`.
    pub(super) fn final_name(&self, manifest_name: &str) -> OsString {
        match &self.name {
            None => manifest_name.into(),
            #[cfg(unix)]
            Some(bytes) => std::os::unix::ffi::OsStringExt::from_vec(bytes.clone()),
            #[cfg(not(unix))]
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        }
    }
}

/// Writes the journal to a staging folder. It is on the disk on return, unless `durability` is
/// [`Durability::Deferred`].
pub(super) fn write(
    staging: &Dir,
    manifest: &Manifest,
    renames: Vec<RenameRecord>,
    durability: Durability,
) -> io::Result<()> {
    let journal = RenameJournal { manifest: digest(manifest)?, renames };
    let bytes = postcard::to_stdvec(&journal).map_err(io::Error::other)?;
    match staging.remove_file(JOURNAL_TEMP) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = staging.open_with(JOURNAL_TEMP, &open_options::for_creating(0o600))?;
    file.write_all(&bytes)?;
    let file = file.into_std();
    if durability == Durability::Synced {
        sync_whole_file(&file)?;
    }
    drop(file); // some file systems cannot rename an open file
    staging.rename(JOURNAL_TEMP, staging, JOURNAL)
}

/// Finds the entries of `manifest` that an interrupted download with this staging folder in `base` has already
/// published there, by their index. A journal that is damaged, or belongs to another version of the share, is ignored.
pub(super) fn find_published(base: &Dir, staging: &str, manifest: &Manifest) -> HashMap<usize, RenameRecord> {
    let read = || {
        let journal = read_journal(&open_by_name(base, staging)?, manifest)?;
        Ok::<_, io::Error>((journal, base.try_clone()?))
    };
    let Ok((Some(journal), base)) = read() else { return HashMap::new() };
    let mut base = RootedDir::new(base);
    let mut index_if_published = |record: &RenameRecord| {
        let path = manifest.row(record.entry as usize)?.path();
        let dir = base.parent_of(&path).ok()?;
        let meta = dir.symlink_metadata(record.final_name(path.name())).ok()?;
        (FileIdentity::of(&meta) == Some(record.identity)).then_some(record.entry as usize)
    };
    journal.renames.into_iter().filter_map(|record| Some((index_if_published(&record)?, record))).collect()
}

/// Reads the journal in a staging folder; `None` if it belongs to another manifest.
fn read_journal(staging: &Dir, manifest: &Manifest) -> io::Result<Option<RenameJournal>> {
    let mut bytes = Vec::new();
    staging.open_with(JOURNAL, &open_options::for_reading())?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let journal: RenameJournal = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
    Ok((journal.manifest == digest(manifest)?).then_some(journal))
}

/// Returns a hash that identifies a version of a share.
fn digest(manifest: &Manifest) -> io::Result<[u8; 32]> {
    let (mut hasher, mut encoded) = (blake3::Hasher::new(), Vec::new());
    for entry in manifest.entries() {
        encoded = postcard::to_extend(&RawEntry::from(entry), encoded).map_err(io::Error::other)?;
        hasher.update(&encoded);
        encoded.clear();
    }
    Ok(*hasher.finalize().as_bytes())
}
