//! The limits of a disk: what it cannot hold of a share.

use std::collections::BTreeMap;

/// Why a disk cannot hold an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskLimit {
    /// It has no symbolic links.
    Links,
    /// It loses the content of a folder that is renamed: its driver is defective.
    Folders,
    /// It refuses the name.
    Name,
    /// The name is too long for it.
    NameLength,
    /// It would store another name.
    ChangedName,
    /// Another entry of the share has a name that is the same to it.
    SameName,
    /// The file is larger than any that it holds.
    FileSize,
}

/// The entries that a disk cannot hold, without those below them, by index.
pub(super) type UnsupportedEntries = BTreeMap<usize, DiskLimit>;

impl DiskLimit {
    /// Returns a stable word for scripts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Folders => "folders",
            Self::Name => "name",
            Self::NameLength => "name_length",
            Self::ChangedName => "changed_name",
            Self::SameName => "same_name",
            Self::FileSize => "file_size",
        }
    }

    /// Returns a phrase for `count` entries that meet the limit.
    pub(crate) fn phrase(self, count: u64) -> &'static str {
        let is_one = count == 1;
        match self {
            Self::Links if is_one => "symbolic link, which the disk does not have",
            Self::Links => "symbolic links, which the disk does not have",
            Self::Folders if is_one => "folder, whose content the disk loses when it is renamed",
            Self::Folders => "folders, whose content the disk loses when they are renamed",
            Self::Name if is_one => "name that the disk does not allow",
            Self::Name => "names that the disk does not allow",
            Self::NameLength if is_one => "name that is too long for the disk",
            Self::NameLength => "names that are too long for the disk",
            Self::ChangedName if is_one => "name that the disk would change",
            Self::ChangedName => "names that the disk would change",
            Self::SameName if is_one => "name that the disk treats as the same as another one",
            Self::SameName => "names that the disk treats as the same as others",
            Self::FileSize if is_one => "file that is larger than the disk allows",
            Self::FileSize => "files that are larger than the disk allows",
        }
    }
}
