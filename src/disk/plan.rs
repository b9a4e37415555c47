//! The plan of a download: the target and the outcome of every entry, decided before the first byte.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    conflict::{ConflictOutcome, ConflictPolicies},
    conflict_resolver::{ConflictResolver, ResolvedConflicts},
    disk_limit::DiskLimit,
    errors::{creation_error, disk_error},
    rehearsal::find_unsupported,
    space::{self, SpaceNeeded},
    stream_limit::too_large,
    target::Target,
    trial_disk::{TrialDisk, TrialFolder},
};
use crate::{
    error::Result,
    event::NameAction,
    manifest::{EntryRow, Manifest},
};

/// The outcome of every entry of a share. All checks that are possible before anything is written have passed.
#[derive(Debug)]
pub(crate) struct Plan {
    manifest: Arc<Manifest>,
    target: Target,
    conflicts: ResolvedConflicts,
    /// The files to download.
    wanted: FileTotals,
    /// The files that an earlier download has already published.
    published: FileTotals,
    /// The maximum size in bytes that the user allows.
    max_size: Option<u64>,
    /// Whether parts of files that are never written read as zeros and take no space.
    keeps_holes: bool,
}

/// A number of files, and the sum of their sizes if all are known.
#[derive(Debug, Clone, Copy)]
struct FileTotals {
    files: u64,
    bytes: Option<u64>,
}

impl Plan {
    /// Plans a download to `out`; `None` is the current folder. If `out` is a folder or ends in a separator, it will
    /// hold the top-level entries. Otherwise it is the final name of a share of exactly one file, or a folder to
    /// create.
    ///
    /// With [`Overwrite`] and [`Skip`], it is an error if a folder of the share exists as anything but a folder. With
    /// [`Overwrite`], it is also an error if a file exists as a folder. No folder is ever deleted.
    ///
    /// What the disk cannot hold is left out of the plan: [`Plan::unsupported`]. To find it out, a temporary folder is
    /// created in the target folder.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk): the target folder does not exist or is not writable, a target already
    /// exists, or there is not enough space.
    ///
    /// [`Overwrite`]: super::ConflictPolicy::Overwrite
    /// [`Skip`]: super::ConflictPolicy::Skip
    pub(crate) fn new(
        manifest: Arc<Manifest>,
        out: Option<&Path>,
        policies: impl Into<ConflictPolicies>,
    ) -> Result<Self> {
        let target = Target::resolve(&manifest, out)?;
        space::check_writable(&target)?;
        let folder = target.existing_folder();
        let failed = |e| creation_error("write to", target.printable(), &e, folder);
        let mut disk = TrialFolder::create(folder).map_err(failed)?;
        Self::on_disk(manifest, target, &policies.into(), &mut disk)
    }

    /// Plans a download to a target on a disk.
    pub(super) fn on_disk(
        manifest: Arc<Manifest>,
        target: Target,
        policies: &ConflictPolicies,
        disk: &mut dyn TrialDisk,
    ) -> Result<Self> {
        let failed = |e| disk_error("write to", target.printable(), &e);
        let unsupported = find_unsupported(&manifest, |_| true, disk).map_err(failed)?;
        let mut conflicts = ConflictResolver::new(&manifest, &target, policies, unsupported)?.resolve()?;
        let elsewhere = conflicts.other_disks.find_unsupported(&manifest, &target, &conflicts.outcomes)?;
        conflicts.leave_out(&manifest, elsewhere);
        let totals = |counts: fn(ConflictOutcome) -> bool| {
            let files = manifest.rows().zip(&conflicts.outcomes);
            FileTotals::of(files.filter(|(row, outcome)| row.is_file() && counts(**outcome)).map(|(row, _)| row))
        };
        let wanted = totals(ConflictOutcome::is_wanted);
        let published = totals(|outcome| outcome == ConflictOutcome::Published);
        let keeps_holes = disk.keeps_holes();
        let plan = Self { manifest, target, conflicts, wanted, published, max_size: None, keeps_holes };
        plan.check_space(disk.allocation_unit())?;
        Ok(plan)
    }

    /// Checks that the entries fit, on each disk that will hold some of them.
    fn check_space(&self, allocation_unit: u64) -> Result<()> {
        let wanted = |row: &EntryRow<'_>| self.wants(row.index());
        let mut needed = SpaceNeeded::of(self.manifest.rows().filter(wanted), allocation_unit);
        if self.keeps_holes {
            needed.bytes = needed.bytes.saturating_sub(self.manifest.holes());
        }
        space::check_space(&self.target, &self.manifest, needed)?;
        self.conflicts.other_disks.check_space(&self.manifest, &self.target, |index| self.wants(index))
    }

    /// Returns the entries that the disk cannot hold, with the reasons. They are left out, with everything below them.
    pub(crate) fn unsupported(&self) -> impl Iterator<Item = (EntryRow<'_>, DiskLimit)> {
        self.conflicts.unsupported.iter().filter_map(|(index, limit)| Some((self.manifest.row(*index)?, *limit)))
    }

    /// Returns the number of entries that the disk cannot hold, with everything below them.
    pub(crate) fn unsupported_entries(&self) -> u64 {
        self.count(ConflictOutcome::Unsupported)
    }

    /// Returns the number of entries of the share that are not downloaded, because they are not selected, they exist or
    /// the disk cannot hold them.
    pub(crate) fn skipped_entries(&self) -> u64 {
        self.manifest.unselected() + self.count(ConflictOutcome::Skip) + self.unsupported_entries()
    }

    fn count(&self, outcome: ConflictOutcome) -> u64 {
        self.conflicts.outcomes.iter().filter(|other| **other == outcome).count() as u64
    }

    /// Whether parts of files that are never written read as zeros and take no space.
    pub(super) fn keeps_holes(&self) -> bool {
        self.keeps_holes
    }

    /// Limits the download to `max_size` bytes, including staged and published data.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the files are known to be larger.
    pub(crate) fn with_max_size(mut self, max_size: Option<u64>) -> Result<Self> {
        self.max_size = max_size;
        match (self.bytes(), max_size) {
            (Some(bytes), Some(max)) if bytes > max => Err(too_large(Some(bytes), max)),
            _ => Ok(self),
        }
    }

    /// Returns the manifest of the share.
    pub(crate) fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Returns the folder that will hold the top-level entries, as an absolute path if the system knows it.
    pub(crate) fn target_folder(&self) -> PathBuf {
        let folder = self.target.folder_path();
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }

    /// Returns the top-level entries with their final names and the actions on these names.
    pub(crate) fn top_level(&self) -> impl Iterator<Item = (EntryRow<'_>, &OsStr, NameAction)> {
        self.manifest.top_level().map(|row| (row, self.final_name(row), self.outcome(row.index()).action()))
    }

    /// Whether an entry is to be downloaded. It is not if [`Skip`](super::ConflictPolicy::Skip) skips it, if an earlier
    /// download has published it, or if there is no such entry.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.outcome(index).is_wanted()
    }

    /// Returns the sum of the sizes of all files that will exist at the end; `None` if a size is not known yet.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.wanted.bytes?.checked_add(self.published_bytes())
    }

    /// Returns the number of files that will exist at the end.
    pub(crate) fn files(&self) -> u64 {
        self.wanted.files + self.published.files
    }

    /// Returns the bytes of the files that an earlier download has published.
    pub(super) fn published_bytes(&self) -> u64 {
        self.published.bytes.unwrap_or(0)
    }

    /// Whether an earlier download has published anything.
    pub(super) fn has_published(&self) -> bool {
        self.conflicts.outcomes.contains(&ConflictOutcome::Published)
    }

    /// Returns the number of files to download.
    pub(super) fn missing_files(&self) -> u64 {
        self.wanted.files
    }

    pub(super) fn max_size(&self) -> Option<u64> {
        self.max_size
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn outcome(&self, index: usize) -> ConflictOutcome {
        self.conflicts.outcomes.get(index).copied().unwrap_or(ConflictOutcome::Skip)
    }

    /// Returns the final name of an entry in the folder that holds it.
    pub(super) fn final_name<'a>(&'a self, row: EntryRow<'a>) -> &'a OsStr {
        self.conflicts.final_names.get(&row.index()).map_or(OsStr::new(row.name()), OsString::as_os_str)
    }
}

impl FileTotals {
    fn of<'a>(files: impl Iterator<Item = EntryRow<'a>>) -> Self {
        files.fold(Self { files: 0, bytes: Some(0) }, |sum, file| Self {
            files: sum.files + 1,
            bytes: sum.bytes.zip(file.size()).and_then(|(sum, size)| sum.checked_add(size)),
        })
    }
}
