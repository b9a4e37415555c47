//! Decides the outcome of each entry from the conflict policy and the existing targets.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    hash::{BuildHasher as _, RandomState},
    io,
};

#[cfg(unix)]
use cap_std::fs::MetadataExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    conflict::{ConflictOutcome, ConflictPolicies, ConflictPolicy},
    disk_limit::{DiskLimit, UnsupportedEntries},
    errors::{disk_error, printable},
    journal::{self, RenameRecord},
    numbered_name::{MAX_NAME, MIN_NAME, numbered},
    other_disks::OtherDisks,
    rooted_dir::RootedDir,
    saved_entries::{self, SavedEntries},
    similar_names::fold,
    target::Target,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryKind, Manifest},
    text::visible,
};

/// The largest number that `--rename` tries.
const MAX_NUMBER: u32 = 9_999;

/// Applies the [`ConflictPolicies`] to every entry of a share.
pub(super) struct ConflictResolver<'a> {
    manifest: &'a Manifest,
    target: &'a Target,
    policies: &'a ConflictPolicies,
    /// The policy of each entry so far.
    policy_of: Vec<ConflictPolicy>,
    /// The target folder, if it exists.
    existing: Option<RootedDir>,
    /// The entries that the disk cannot hold, without those below them.
    unsupported: UnsupportedEntries,
    /// The entries that an earlier download has already published, by index.
    published: HashMap<usize, RenameRecord>,
    /// The entries that an incomplete download has saved.
    saved: SavedEntries,
    /// The existing files and folders that entries replace or merge into, with the folders and folded names of these.
    replaced: HashSet<(FileId, Option<String>, String)>,
    /// Hashes of the folded top-level names of the share, including the new names of renamed entries.
    taken: HashSet<u64>,
    taken_key: RandomState,
    resolved: ResolvedConflicts,
}

/// The decisions for all entries of a share.
#[derive(Debug, Default)]
pub(super) struct ResolvedConflicts {
    /// One for each entry.
    pub(super) outcomes: Vec<ConflictOutcome>,
    /// The final names that differ from the manifest's, by the index of their top-level entry.
    pub(super) final_names: HashMap<usize, OsString>,
    /// The entries that the disk cannot hold, without those below them.
    pub(super) unsupported: UnsupportedEntries,
    pub(super) other_disks: OtherDisks,
}

impl ResolvedConflicts {
    /// Leaves out more entries that a disk cannot hold, and everything below them.
    pub(super) fn leave_out(&mut self, manifest: &Manifest, mut unsupported: UnsupportedEntries) {
        if unsupported.is_empty() {
            return;
        }
        for row in manifest.rows() {
            let parent = row.parent().map(|parent| self.outcomes[parent.index()]);
            if parent == Some(ConflictOutcome::Unsupported) || unsupported.contains_key(&row.index()) {
                self.outcomes[row.index()] = ConflictOutcome::Unsupported;
            }
        }
        self.unsupported.append(&mut unsupported);
    }
}

impl<'a> ConflictResolver<'a> {
    /// Creates a resolver for the entries that are not in `unsupported`.
    pub(super) fn new(
        manifest: &'a Manifest,
        target: &'a Target,
        policies: &'a ConflictPolicies,
        unsupported: UnsupportedEntries,
    ) -> Result<Self> {
        let existing = target.folder().map(Dir::try_clone).transpose();
        let existing = existing.map_err(|e| disk_error("open", target.printable(), &e))?.map(RootedDir::new);
        let staging = target.staging_name(manifest);
        let published = target.folder().map(|base| journal::find_published(base, &staging, manifest));
        let saved = target.folder().map(|base| saved_entries::read(base, &staging)).unwrap_or_default();
        let outcomes = Vec::with_capacity(manifest.len());
        Ok(Self {
            manifest,
            target,
            policies,
            policy_of: Vec::with_capacity(manifest.len()),
            existing,
            replaced: HashSet::new(),
            unsupported,
            published: published.unwrap_or_default(),
            saved,
            taken: HashSet::new(),
            taken_key: RandomState::new(),
            resolved: ResolvedConflicts { outcomes, ..ResolvedConflicts::default() },
        })
    }

    /// Decides the outcome of every entry.
    ///
    /// # Errors
    /// [`Kind::Disk`], naming the first entry that the policy refuses.
    pub(super) fn resolve(mut self) -> Result<ResolvedConflicts> {
        let manifest = self.manifest;
        if self.policies.contains(ConflictPolicy::Rename) {
            self.taken = manifest.top_level().map(|row| self.taken_key.hash_one(fold(row.name()))).collect();
        }
        for row in manifest.rows() {
            let inherited = row.parent().map(|parent| self.policy_of[parent.index()]);
            self.policy_of.push(inherited.unwrap_or_else(|| self.policies.of(row.name())));
            let outcome = match row.parent().map(|parent| self.resolved.outcomes[parent.index()]) {
                _ if self.unsupported.contains_key(&row.index()) => ConflictOutcome::Unsupported,
                Some(ConflictOutcome::Unsupported) => ConflictOutcome::Unsupported,
                None => self.resolve_top_level(row.index(), &row.to_entry())?,
                Some(ConflictOutcome::Published) => ConflictOutcome::Published,
                Some(ConflictOutcome::Merge) => self.resolve_in_merged(row.index(), &row.to_entry())?,
                Some(_) => ConflictOutcome::WithParent,
            };
            self.resolved.outcomes.push(outcome);
        }
        self.resolved.unsupported = self.unsupported;
        Ok(self.resolved)
    }

    fn resolve_top_level(&mut self, index: usize, entry: &Entry) -> Result<ConflictOutcome> {
        let name = self.target.file_name().unwrap_or(OsStr::new(entry.path.name())).to_owned();
        if let Some(name) = self.published_name(index, entry, &name) {
            self.resolved.final_names.insert(index, name);
            return Ok(ConflictOutcome::Published);
        }
        if let Some(outcome) = self.saved_outcome(entry, &name)? {
            return Ok(outcome);
        }
        let existing = self.look_up(entry, &name)?;
        if self.is_replaced_already(index, entry, existing.as_ref()) {
            return Ok(ConflictOutcome::Unsupported);
        }
        if self.policy_of[index] == ConflictPolicy::Rename && existing.is_some() {
            let free = self.find_free_name(entry, &name)?;
            self.resolved.final_names.insert(index, free);
            return Ok(ConflictOutcome::New);
        }
        let path = printable(&self.target.path_of(&name));
        let outcome = self.apply_policy(index, entry, existing.as_ref(), &path)?;
        if self.target.file_name().is_some() {
            self.resolved.final_names.insert(index, name);
        }
        Ok(outcome)
    }

    fn resolve_in_merged(&mut self, index: usize, entry: &Entry) -> Result<ConflictOutcome> {
        let name = OsStr::new(entry.path.name());
        if self.published_name(index, entry, name).is_some() {
            return Ok(ConflictOutcome::Published);
        }
        if let Some(outcome) = self.saved_outcome(entry, name)? {
            return Ok(outcome);
        }
        let existing = self.look_up(entry, name)?;
        if self.is_replaced_already(index, entry, existing.as_ref()) {
            return Ok(ConflictOutcome::Unsupported);
        }
        self.apply_policy(index, entry, existing.as_ref(), &entry.path.to_string())
    }

    /// Whether another entry of the share already replaces what exists, because the disk finds it under both names. A
    /// folder on the disk may treat names as equal that the rest of the disk tells apart. Records the limit.
    fn is_replaced_already(&mut self, index: usize, entry: &Entry, existing: Option<&Metadata>) -> bool {
        let Some(existing) = existing.and_then(FileId::of) else { return false };
        let folder = entry.path.parent().map(|parent| parent.into_string());
        let is_replaced = !self.replaced.insert((existing, folder, fold(entry.path.name())));
        if is_replaced {
            self.unsupported.insert(index, DiskLimit::SameName);
        }
        is_replaced
    }

    /// Returns the name under which an entry is already published, if it is the name that it would get now.
    fn published_name(&self, index: usize, entry: &Entry, name: &OsStr) -> Option<OsString> {
        let published = self.published.get(&index)?.final_name(entry.path.name());
        (published == name || self.policy_of[index] == ConflictPolicy::Rename).then_some(published)
    }

    /// Returns the outcome of an entry that an incomplete download has saved as `name`, if it is still there.
    fn saved_outcome(&mut self, entry: &Entry, name: &OsStr) -> Result<Option<ConflictOutcome>> {
        if !self.saved.contains_key(entry.path.as_str()) {
            return Ok(None);
        }
        let existing = self.look_up(entry, name)?;
        let saved = self.saved.get(entry.path.as_str()).zip(existing);
        Ok(saved.and_then(|(saved, existing)| saved.outcome(entry, &existing)))
    }

    /// Returns the metadata of `name` in the folder of `entry`, if it exists. That folder exists, or the entry is at
    /// the top level.
    fn look_up(&mut self, entry: &Entry, name: &OsStr) -> Result<Option<Metadata>> {
        let Some(existing) = &mut self.existing else { return Ok(None) };
        match existing.parent_of(&entry.path).and_then(|dir| dir.symlink_metadata(name)) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            // A name that this folder cannot hold exists nowhere in it.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename) => Ok(None),
            Err(e) => Err(disk_error("read", &entry.path, &e)),
        }
    }

    /// Whether the disk cannot hold a name because of its length.
    fn is_too_long(&mut self, entry: &Entry, name: &OsStr) -> bool {
        let Some(existing) = &mut self.existing else { return false };
        let found = existing.parent_of(&entry.path).and_then(|dir| dir.symlink_metadata(name));
        found.is_err_and(|e| e.kind() == io::ErrorKind::InvalidFilename)
    }

    /// Decides the outcome of an entry. `path` is its final path, printable.
    fn apply_policy(
        &mut self,
        index: usize,
        entry: &Entry,
        existing: Option<&Metadata>,
        path: &str,
    ) -> Result<ConflictOutcome> {
        let Some(existing) = existing else { return Ok(ConflictOutcome::New) };
        let is_folder = entry.kind == EntryKind::Folder;
        match (self.policy_of[index], is_folder, existing.is_dir()) {
            (ConflictPolicy::Refuse | ConflictPolicy::Rename, _, _) => {
                Err(Error::new(Kind::Disk, format!("{path} already exists"))
                    .hint("pass --overwrite, --rename or --skip, or use --out DIR to save to another folder"))
            }
            (ConflictPolicy::Overwrite | ConflictPolicy::Skip, true, true) => {
                self.resolved.other_disks.note(index, existing, self.target);
                Ok(ConflictOutcome::Merge)
            }
            (ConflictPolicy::Overwrite | ConflictPolicy::Skip, true, false)
            | (ConflictPolicy::Overwrite, false, true) => Err(kinds_differ(entry, existing, path)),
            (ConflictPolicy::Overwrite, false, false) => Ok(ConflictOutcome::Replace),
            (ConflictPolicy::Skip, false, _) => Ok(ConflictOutcome::Skip),
        }
    }

    /// Returns the first `name (n).ext` that neither exists nor belongs to another entry, and that the disk can hold.
    fn find_free_name(&mut self, entry: &Entry, name: &OsStr) -> Result<OsString> {
        let mut max_length = MAX_NAME;
        for number in 1..=MAX_NUMBER {
            let mut candidate = numbered(name, number, entry.kind == EntryKind::Folder, max_length);
            while max_length > MIN_NAME && self.is_too_long(entry, &candidate) {
                max_length -= 8;
                candidate = numbered(name, number, entry.kind == EntryKind::Folder, max_length);
            }
            let folded = self.taken_key.hash_one(fold(&candidate.to_string_lossy()));
            if !self.taken.contains(&folded) && self.look_up(entry, &candidate)?.is_none() {
                self.taken.insert(folded);
                return Ok(candidate);
            }
        }
        let name = visible(&name.to_string_lossy());
        Err(Error::new(Kind::Disk, format!("{name} and {MAX_NUMBER} numbered names like it already exist"))
            .hint("use --out DIR to save to another folder"))
    }
}

/// Identifies an existing file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    disk: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(meta: &Metadata) -> Option<Self> {
        Some(Self { disk: meta.dev(), inode: meta.ino() })
    }

    #[cfg(not(unix))]
    fn of(_meta: &Metadata) -> Option<Self> {
        None
    }
}

/// Returns the error for an entry that cannot replace what exists, because exactly one of them is a folder.
fn kinds_differ(entry: &Entry, existing: &Metadata, path: &str) -> Error {
    let kind = match entry.kind {
        EntryKind::File { .. } => "file",
        EntryKind::Folder => "folder",
        EntryKind::Link { .. } => "link",
    };
    let message = format!("cannot replace the {} {path} with a {kind}", kind_of(existing));
    Error::new(Kind::Disk, message).hint("move it, pass --rename, or use --out DIR to save to another folder")
}

fn kind_of(meta: &Metadata) -> &'static str {
    if meta.is_dir() {
        "folder"
    } else if meta.is_file() {
        "file"
    } else if meta.is_symlink() {
        "link"
    } else {
        "special file"
    }
}
