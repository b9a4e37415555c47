//! Conflicts: targets that already exist.

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use super::{errors::printable, journal, target::Target};
use crate::{
    error::Result,
    event::NameAction,
    manifest::{EntryRow, Manifest},
};

/// The user's policy for targets that already exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// Downloads nothing if the name of any top-level entry exists.
    #[default]
    Refuse,
    /// Replaces files and links; merges folders file by file.
    Overwrite,
    /// Saves a top-level entry whose name exists as `name (1).ext`, or under the first free number.
    Rename,
    /// Skips existing files; downloads only the files that are missing in existing folders.
    Skip,
}

/// The policy of every top-level entry of a share. It applies to everything below the entry.
#[derive(Debug, Clone, Default)]
pub struct ConflictPolicies {
    /// The policy of the entries that are not in `by_name`.
    pub default: ConflictPolicy,
    /// The policies of single entries, by their names in the share.
    pub by_name: BTreeMap<String, ConflictPolicy>,
}

impl ConflictPolicies {
    /// Returns the policy of a top-level entry.
    pub(super) fn of(&self, name: &str) -> ConflictPolicy {
        self.by_name.get(name).copied().unwrap_or(self.default)
    }

    /// Whether any entry has this policy.
    pub(super) fn contains(&self, policy: ConflictPolicy) -> bool {
        self.default == policy || self.by_name.values().any(|other| *other == policy)
    }
}

impl From<ConflictPolicy> for ConflictPolicies {
    fn from(default: ConflictPolicy) -> Self {
        Self { default, by_name: BTreeMap::new() }
    }
}

/// A top-level entry of a share whose final name exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its name in the share.
    pub name: String,
    /// The path that exists, as the user would type it, printable.
    pub path: String,
    /// Whether both are folders.
    pub is_folder: bool,
}

impl Conflict {
    /// Finds the top-level entries of a share whose final names exist in `out`. Entries that an earlier download of the
    /// share has published are none.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if there is no such target folder.
    pub fn find(manifest: &Manifest, out: Option<&Path>) -> Result<Vec<Self>> {
        let target = Target::resolve(manifest, out)?;
        let Some(folder) = target.folder() else { return Ok(Vec::new()) };
        let published = journal::find_published(folder, &target.staging_name(manifest), manifest);
        let conflict = |row: EntryRow<'_>| {
            let name = target.file_name().unwrap_or(OsStr::new(row.name()));
            let is_published = published.get(&row.index()).is_some_and(|record| record.final_name(row.name()) == name);
            let existing = folder.symlink_metadata(name).ok().filter(|_| !is_published)?;
            let path = printable(&target.path_of(name));
            Some(Self { name: row.name().to_owned(), path, is_folder: row.is_folder() && existing.is_dir() })
        };
        Ok(manifest.top_level().filter_map(conflict).collect())
    }
}

/// The outcome of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConflictOutcome {
    /// It is published as part of a new folder.
    WithParent,
    /// It is published under a name that is free.
    New,
    /// It replaces an existing file, link or special file.
    Replace,
    /// It is an existing folder; its entries are published into it.
    Merge,
    /// It is not downloaded.
    Skip,
    /// It is not downloaded, because the disk cannot hold it or the folder that would hold it.
    Unsupported,
    /// An earlier, interrupted download has already published it or the folder that holds it.
    Published,
}

impl ConflictOutcome {
    /// Whether the entry is to be downloaded.
    pub(super) fn is_wanted(self) -> bool {
        !matches!(self, Self::Skip | Self::Unsupported | Self::Published)
    }

    /// Whether the entry exists at the end because of this download or an earlier one of the share.
    pub(super) fn is_saved(self) -> bool {
        self.is_wanted() || self == Self::Published
    }

    /// Returns the action on the final name of the entry.
    pub(super) fn action(self) -> NameAction {
        match self {
            Self::WithParent | Self::New => NameAction::Create,
            Self::Replace => NameAction::Replace,
            Self::Merge => NameAction::Merge,
            Self::Skip => NameAction::Skip,
            Self::Unsupported => NameAction::LeaveOut,
            Self::Published => NameAction::Saved,
        }
    }
}
