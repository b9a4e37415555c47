//! Existing folders that are on other disks than the target folder: mount points inside a folder that is merged into.

use std::collections::BTreeMap;

use cap_fs_ext::DirExt as _;
use cap_std::fs::{Dir, Metadata};

use super::{
    conflict::ConflictOutcome,
    disk_limit::UnsupportedEntries,
    disk_usage::DiskUsage,
    errors::disk_error,
    rehearsal::find_unsupported,
    rooted_dir::RootedDir,
    space::{SpaceNeeded, check_space_of},
    target::Target,
    trial_disk::{TrialDisk as _, TrialFolder},
};
use crate::{
    error::Result,
    manifest::{EntryRow, Manifest},
};

/// Identifies the disk of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskId(u64);

/// The folders of a share that exist on other disks, by index. Entries are merged into them.
#[derive(Debug, Default)]
pub(super) struct OtherDisks(BTreeMap<usize, DiskId>);

impl OtherDisks {
    /// Adds folder entry `index`, which exists as `meta`, if it is on another disk than the target folder.
    pub(super) fn note(&mut self, index: usize, meta: &Metadata, target: &Target) {
        let base = target.existing_folder().dir_metadata();
        if base.is_ok_and(|base| DiskId::of(&base) != DiskId::of(meta)) {
            self.0.insert(index, DiskId::of(meta));
        }
    }

    /// Finds what these disks cannot hold of the entries that they get.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk), naming the folder, if nothing can be created in it.
    pub(super) fn find_unsupported(
        &self,
        manifest: &Manifest,
        target: &Target,
        outcomes: &[ConflictOutcome],
    ) -> Result<UnsupportedEntries> {
        let mut found = UnsupportedEntries::new();
        for (folder, dir, row) in self.mount_points(manifest, target) {
            let failed = |e| disk_error("write to", row.path(), &e);
            let is_there = |index: usize| outcomes[index].is_wanted() && self.is_below(manifest.row(index), folder);
            let mut disk = TrialFolder::create(&dir).map_err(failed)?;
            found.append(&mut find_unsupported(manifest, is_there, &mut disk).map_err(failed)?);
        }
        Ok(found)
    }

    /// Checks that the wanted entries fit on these disks.
    ///
    /// # Errors
    /// The same as [`check_space_of`].
    pub(super) fn check_space(
        &self,
        manifest: &Manifest,
        target: &Target,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<()> {
        for (folder, dir, row) in self.mount_points(manifest, target) {
            let unit = TrialFolder::create(&dir).map_or(0, |mut disk| disk.allocation_unit());
            let is_there = |row: &EntryRow<'_>| is_wanted(row.index()) && self.is_below(Some(*row), folder);
            let needed = SpaceNeeded::of(manifest.rows().filter(is_there), unit);
            check_space_of(&dir, &row.path().to_string(), needed, DiskUsage::default)?;
        }
        Ok(())
    }

    /// Returns the folders that are on another disk than the folder above them: their index, handle and entry.
    fn mount_points<'a>(
        &'a self,
        manifest: &'a Manifest,
        target: &'a Target,
    ) -> impl Iterator<Item = (usize, Dir, EntryRow<'a>)> {
        let is_mounted = |row: EntryRow<'_>| row.parent().and_then(|parent| self.0.get(&parent.index()));
        let rows = self.0.iter().filter_map(|(index, disk)| Some((manifest.row(*index)?, disk)));
        let mounted = rows.filter(move |(row, disk)| is_mounted(*row) != Some(*disk));
        mounted.filter_map(|(row, _)| Some((row.index(), existing_folder(target, row)?, row)))
    }

    /// Whether an entry is below the mount point `folder`, on the same disk.
    fn is_below(&self, row: Option<EntryRow<'_>>, folder: usize) -> bool {
        let disk = self.0.get(&folder);
        let folders = std::iter::successors(row.and_then(EntryRow::parent), |row| row.parent());
        let mut elsewhere = folders.skip_while(|row| !self.0.contains_key(&row.index()));
        elsewhere.by_ref().take_while(|row| self.0.get(&row.index()) == disk).any(|row| row.index() == folder)
    }
}

impl DiskId {
    #[cfg(unix)]
    fn of(meta: &Metadata) -> Self {
        Self(cap_std::fs::MetadataExt::dev(meta))
    }

    #[cfg(not(unix))]
    fn of(_meta: &Metadata) -> Self {
        Self(0)
    }
}

/// Opens a folder of the share that exists in the target folder.
fn existing_folder(target: &Target, row: EntryRow<'_>) -> Option<Dir> {
    let mut root = RootedDir::new(target.folder()?.try_clone().ok()?);
    root.parent_of(&row.path()).and_then(|dir| dir.open_dir_nofollow(row.name())).ok()
}
