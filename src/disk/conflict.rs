//! Conflicts: targets that already exist.

use crate::event::NameAction;

/// The user's policy for targets that already exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
