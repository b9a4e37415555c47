//! Publishes a complete download: moves its entries from the staging folder to their final names.
//!
//! The order makes every step safe to interrupt. Links are created first, because no file may ever be written through
//! one. The journal and all files reach the disk before the first rename. Each top-level entry is then moved by one
//! rename; entries of merged folders are moved one by one.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;

use super::{
    attributes::{PermissionMask, set_folder_mtime},
    conflict::ConflictOutcome,
    durability::{Durability, sync_file_system, sync_folder},
    errors::{creation_error, disk_error, printable},
    journal::{self, FileIdentity, RenameRecord},
    move_by_copy::move_by_copy,
    plan::Plan,
    rename::rename_without_replacing,
    rooted_dir::RootedDir,
    saved_entries::{SavedEntries, SavedEntry},
    staging::StagingFolder,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryKind, EntryRow, FileFailure, SafePath},
};

/// Publishes one download.
pub(super) struct Publisher<'a> {
    pub(super) plan: &'a Plan,
    pub(super) staging: &'a StagingFolder,
    /// The staged content.
    pub(super) files: &'a mut RootedDir,
    pub(super) permissions: PermissionMask,
    /// The target folder.
    pub(super) base: &'a Dir,
    /// Whether all files are on the disk.
    pub(super) durability: Durability,
    /// The number of files and folders whose modification time the disk cannot hold.
    pub(super) altered_times: u64,
    /// The files that the sender could not send, by the index of their entry.
    pub(super) failed: &'a BTreeMap<usize, FileFailure>,
}

/// A download whose entries have their final names.
#[derive(Debug)]
pub(crate) struct PublishedDownload {
    /// The final top-level paths as the user would type them, without skipped ones.
    pub paths: Vec<PathBuf>,
    /// The number of files and folders whose modification time the disk cannot hold. They have the nearest time that it
    /// holds, or the present time.
    pub altered_times: u64,
    /// The files that the sender could not send.
    pub failed: Vec<FailedFile>,
}

/// A file that the sender offered and could not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedFile {
    /// Its path in the share.
    pub path: SafePath,
    /// Why the sender could not send it.
    pub reason: FileFailure,
}

impl Publisher<'_> {
    /// Publishes everything.
    ///
    /// # Errors
    /// [`Kind::Disk`] if an I/O operation fails, or a final name exists that was free when the download was planned.
    /// Entries that are already published stay published.
    pub(super) fn publish(mut self) -> Result<PublishedDownload> {
        self.create_links()?;
        self.set_attributes();
        let renames = self.record_renames()?;
        let failed = |e: io::Error| disk_error("write to", self.plan.target().printable(), &e);
        self.staging.write_journal(self.plan.manifest(), renames, self.durability).map_err(failed)?;
        if self.durability == Durability::Deferred {
            sync_file_system(self.base).map_err(failed)?;
        }
        let target = RootedDir::new(self.base.try_clone().map_err(failed)?);
        let paths = self.rename_all(target)?;
        sync_folder(self.base);
        let saved = if self.failed.is_empty() { SavedEntries::new() } else { self.saved_entries() };
        if !saved.is_empty() {
            self.staging.set_saved(&saved).map_err(failed)?;
        }
        Ok(PublishedDownload { paths, altered_times: self.altered_times, failed: self.failed_files() })
    }

    /// Returns the outcome of an entry. A file that the sender could not send is skipped.
    fn outcome(&self, row: EntryRow<'_>) -> ConflictOutcome {
        if self.failed.contains_key(&row.index()) { ConflictOutcome::Skip } else { self.plan.outcome(row.index()) }
    }

    fn failed_files(&self) -> Vec<FailedFile> {
        let row = |index: &usize| self.plan.manifest().row(*index);
        let failed = self.failed.iter().filter_map(|(index, reason)| Some((row(index)?, *reason)));
        failed.map(|(row, reason)| FailedFile { path: row.path(), reason }).collect()
    }

    /// Describes the entries that are on the disk under their own names. Those of a renamed folder are not described:
    /// the next download gets another name again.
    fn saved_entries(&self) -> SavedEntries {
        let Ok(base) = self.base.try_clone() else { return SavedEntries::new() };
        let (manifest, mut base, mut saved) = (self.plan.manifest(), RootedDir::new(base), SavedEntries::new());
        let mut has_own_name = Vec::with_capacity(manifest.len());
        for row in manifest.rows() {
            let has_name = match row.parent() {
                Some(parent) => has_own_name[parent.index()],
                None => self.plan.final_name(row) == row.name(),
            };
            has_own_name.push(has_name);
            if !has_name || !self.outcome(row).is_saved() {
                continue;
            }
            let entry = row.to_entry();
            if let Ok(meta) = base.metadata_of(&entry.path) {
                saved.insert(entry.path.as_str().to_owned(), SavedEntry::new(&entry, &meta));
            }
        }
        saved
    }

    fn create_links(&mut self) -> Result<()> {
        for row in self.plan.manifest().rows().filter(|row| row.is_link() && self.plan.wants(row.index())) {
            let path = row.path();
            self.files
                .parent_of(&path)
                .and_then(|dir| cap_fs_ext::DirExt::symlink(dir, row.target(), row.name()))
                .map_err(|e| creation_error("create the link", &path, &e, self.base))?;
        }
        Ok(())
    }

    /// Sets the modification times of new folders and the permissions of all entries, the innermost first: adding an
    /// entry to a folder changes its time, and a folder may become unreadable. A folder that will be moved gets its
    /// final permissions afterwards, because its owner must be able to write to it.
    fn set_attributes(&mut self) {
        for entry in self.plan.manifest().rows().rev() {
            let outcome = self.outcome(entry);
            if !(is_renamed(outcome) || outcome == ConflictOutcome::WithParent) {
                continue;
            }
            let entry = &entry.to_entry();
            let Ok(parent) = self.files.parent_of(&entry.path) else { continue };
            let is_folder = entry.kind == EntryKind::Folder;
            if is_folder {
                self.altered_times += u64::from(!set_folder_mtime(parent, entry));
                self.permissions.set_on_staged_folder(parent, entry);
            }
            let is_moved_folder = is_folder && is_renamed(outcome);
            if has_permissions(entry) && self.permissions.restricts_owner(entry) && !is_moved_folder {
                self.permissions.set_final(parent, Path::new(entry.path.name()), entry);
            }
        }
    }

    /// Returns the content of the journal: the renames to come, and the renames of an interrupted download.
    fn record_renames(&mut self) -> Result<Vec<RenameRecord>> {
        let manifest = self.plan.manifest();
        let published = journal::find_published(self.base, self.staging.name(), manifest);
        let mut renames: Vec<RenameRecord> = published.into_values().collect();
        for row in manifest.rows() {
            if !is_renamed(self.outcome(row)) {
                continue;
            }
            let path = &row.path();
            let meta = self.files.metadata_of(path).map_err(|e| disk_error("find", path, &e))?;
            let record = |identity| RenameRecord::new(row.index(), row.name(), self.plan.final_name(row), identity);
            renames.extend(FileIdentity::of(&meta).map(record));
        }
        Ok(renames)
    }

    fn rename_all(&mut self, mut target: RootedDir) -> Result<Vec<PathBuf>> {
        let mut published = Vec::new();
        for row in self.plan.manifest().rows() {
            let outcome = self.outcome(row);
            if is_renamed(outcome) {
                self.rename(row, &mut target)?;
            }
            if outcome.is_saved() && row.parent().is_none() {
                published.push(self.plan.target().path_of(self.plan.final_name(row)));
            }
        }
        Ok(published)
    }

    /// Moves one entry, with everything below it, to its final name.
    fn rename(&mut self, row: EntryRow<'_>, target: &mut RootedDir) -> Result<()> {
        let entry = &row.to_entry();
        let path = &entry.path;
        let from = self.files.parent_of(path).map_err(|e| disk_error("find", path, &e))?;
        let to = target.parent_of(path).map_err(|e| disk_error("open the folder of", path, &e))?;
        let final_name = self.plan.final_name(row);
        let meta = from.symlink_metadata(path.name()).map_err(|e| disk_error("find", path, &e))?;
        let has_its_kind = match entry.kind {
            EntryKind::File { .. } => meta.is_file(),
            EntryKind::Folder => meta.is_dir(),
            EntryKind::Link { .. } => meta.is_symlink(),
        };
        if !has_its_kind {
            let message = format!("“{path}” was replaced in the staging folder by another process");
            return Err(Error::new(Kind::Disk, message)
                .hint("use --out DIR to save to a folder that other users cannot write to"));
        }
        let replaces = self.plan.outcome(row.index()) == ConflictOutcome::Replace;
        let rename = |from: &Dir, name: &str| match replaces {
            true => from.rename(name, to, final_name),
            false => rename_without_replacing(from, name, to, final_name),
        };
        let renamed = match rename(from, path.name()) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
                move_by_copy(from, path.name(), to, |copy| rename(to, copy))
            }
            renamed => renamed,
        };
        if renamed.is_ok() && entry.kind == EntryKind::Folder && self.permissions.restricts_owner(entry) {
            self.permissions.set_final(to, Path::new(final_name), entry);
        }
        renamed.map_err(|e| {
            if e.kind() != io::ErrorKind::AlreadyExists {
                return disk_error("save", path, &e);
            }
            let final_path = match path.depth() {
                1 => printable(&self.plan.target().path_of(final_name)),
                _ => path.to_string(),
            };
            Error::new(Kind::Disk, format!("{final_path} was created while the download was running"))
                .hint("run it again with --overwrite, --rename, --skip or another --out DIR")
        })
    }
}

/// Whether an entry has permissions of its own. A link has those of its target.
fn has_permissions(entry: &Entry) -> bool {
    !matches!(entry.kind, EntryKind::Link { .. })
}

/// Whether an entry is moved individually, and not with its folder.
fn is_renamed(outcome: ConflictOutcome) -> bool {
    matches!(outcome, ConflictOutcome::New | ConflictOutcome::Replace)
}
