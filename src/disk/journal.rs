//! The journal of the names that a download gives at its end, for whoever goes on with one that was stopped between two
//! of them.
//!
//! It is written to the staging folder before the first name is given. What stands under one of its names is known by the
//! number of its inode and the time at which that was made: a rename changes neither, and another file has not both.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::{self, Read as _, Write as _},
};

use cap_std::fs::{Dir, Metadata, OpenOptions};
use serde::{Deserialize, Serialize};

use super::beneath::{Beneath, reading};
use crate::manifest::{MAX_ENTRIES, Manifest, RawEntry};

/// The journal in a staging folder.
pub(super) const JOURNAL: &str = "names";

/// The same while it is written.
pub(super) const UNFINISHED: &str = "names.new";

/// A longer one is none: a name is at most 255 bytes long, and few differ from those of the manifest.
const LONGEST: u64 = 64 * MAX_ENTRIES;

#[derive(Serialize, Deserialize)]
struct NameJournal {
    /// Of the manifest that the numbers of the entries refer to.
    manifest: [u8; 32],
    names: Vec<GivenName>,
}

/// An entry that gets a name, or has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GivenName {
    entry: u32,
    /// Where it is not that of the manifest, as the system encodes it.
    name: Option<Vec<u8>>,
    identity: FileIdentity,
}

/// What stays the same when something is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileIdentity {
    inode: u64,
    /// Seconds and nanoseconds since 1970.
    made: (u64, u32),
}

impl FileIdentity {
    /// Of something on the disk; nothing on systems and file systems that do not tell.
    #[cfg(unix)]
    pub(super) fn of(meta: &Metadata) -> Option<Self> {
        let made = meta.created().ok()?.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self { inode: cap_std::fs::MetadataExt::ino(meta), made: (made.as_secs(), made.subsec_nanos()) })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_meta: &Metadata) -> Option<Self> {
        None
    }
}

impl GivenName {
    /// Entry `entry`, called `own_name` in the manifest, is or will be `name`.
    pub(super) fn new(entry: usize, own_name: &str, name: &OsStr, identity: FileIdentity) -> Self {
        let name = (name != OsStr::new(own_name)).then(|| name.as_encoded_bytes().to_vec());
        Self { entry: entry as u32, name, identity }
    }

    /// The name, of an entry that is called `own_name` in the manifest.
    pub(super) fn name(&self, own_name: &str) -> OsString {
        match &self.name {
            None => own_name.into(),
            #[cfg(unix)]
            Some(bytes) => std::os::unix::ffi::OsStringExt::from_vec(bytes.clone()),
            #[cfg(not(unix))]
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        }
    }
}

/// Writes the journal of a download to its staging folder; on return it is on the disk, where that is asked for.
pub(super) fn write(staging: &Dir, manifest: &Manifest, names: Vec<GivenName>, sync: bool) -> io::Result<()> {
    let journal = NameJournal { manifest: digest(manifest)?, names };
    let bytes = postcard::to_stdvec(&journal).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match staging.remove_file(UNFINISHED) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = staging.open_with(UNFINISHED, &options)?;
    file.write_all(&bytes)?;
    if sync {
        file.sync_all()?;
    }
    staging.rename(UNFINISHED, staging, JOURNAL)
}

/// The entries of this download that have their names already in `target`, by a journal that was left in `staging`. One that
/// is damaged, or of another state of the share, is not believed.
pub(super) fn read(staging: &Dir, target: Dir, manifest: &Manifest) -> HashMap<usize, GivenName> {
    let Ok(Some(journal)) = load(staging, manifest) else { return HashMap::new() };
    let mut target = Beneath::new(target);
    let mut stands = |named: &GivenName| {
        let path = &manifest.entries().get(named.entry as usize)?.path;
        let meta = target.parent(path).and_then(|dir| dir.symlink_metadata(named.name(path.name()))).ok()?;
        (FileIdentity::of(&meta) == Some(named.identity)).then_some(named.entry as usize)
    };
    journal.names.into_iter().filter_map(|named| Some((stands(&named)?, named))).collect()
}

fn load(staging: &Dir, manifest: &Manifest) -> io::Result<Option<NameJournal>> {
    let mut bytes = Vec::new();
    staging.open_with(JOURNAL, &reading())?.take(LONGEST).read_to_end(&mut bytes)?;
    let journal: NameJournal = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
    Ok((journal.manifest == digest(manifest)?).then_some(journal))
}

/// Tells one state of a share from another.
fn digest(manifest: &Manifest) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for entry in manifest.entries() {
        hasher.update(&postcard::to_stdvec(&RawEntry::from(entry)).map_err(io::Error::other)?);
    }
    Ok(*hasher.finalize().as_bytes())
}
