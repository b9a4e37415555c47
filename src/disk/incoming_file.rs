//! The file that a download is writing.

use std::io::{self, Seek as _, SeekFrom};

use cap_std::fs::Dir;

use super::{
    attributes::{PermissionMask, creation_mode, set_file_mtime},
    durability::{Durability, sync_file},
    group_hasher::GroupHasher,
    groups::GroupTree,
    open_options,
    sparse_file::SparseFile,
};
use crate::manifest::Entry;

/// A staged file that is open for writing, and the hash of its content.
#[derive(Debug)]
pub(super) struct IncomingFile {
    entry: Entry,
    file: SparseFile,
    hasher: GroupHasher,
}

/// The result of finishing a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FinishedFile {
    pub(super) durability: Durability,
    /// Whether the disk holds its modification time.
    pub(super) has_its_time: bool,
}

impl IncomingFile {
    /// Creates the file of an entry in the staged folder `dir`. `keeps_holes` returns whether zeros may be left out.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the disk has a file that answers to its name, and any other I/O error.
    pub(super) fn create(dir: &Dir, entry: Entry, keeps_holes: bool) -> io::Result<Self> {
        let options = open_options::for_creating(creation_mode(&entry));
        let file = dir.open_with(entry.path.name(), &options)?.into_std();
        let file = SparseFile::new(file, 0, keeps_holes);
        Ok(Self { entry, file, hasher: GroupHasher::after(GroupTree::default()) })
    }

    /// Opens the file of an entry that an earlier download has staged in `dir`, and truncates it to `offset`, before
    /// which it has the groups in `tree`.
    pub(super) fn resume(dir: &Dir, entry: Entry, keeps_holes: bool, offset: u64, tree: GroupTree) -> io::Result<Self> {
        let mut file = dir.open_with(entry.path.name(), &open_options::for_writing())?.into_std();
        if file.metadata()?.len() < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(offset)?;
        file.seek(SeekFrom::End(0))?;
        let file = SparseFile::new(file, offset, keeps_holes);
        Ok(Self { entry, file, hasher: GroupHasher::after(tree) })
    }

    /// Returns its current length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.file.length()
    }

    /// Appends and hashes content.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write(data)?;
        self.hasher.update(data);
        Ok(())
    }

    /// Returns the BLAKE3 hash of its content.
    pub(super) fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// Sets the permissions and the modification time, and syncs the file or leaves the sync for later.
    pub(super) fn finish(self, permissions: PermissionMask) -> io::Result<FinishedFile> {
        let length = self.file.length();
        let file = self.file.finish()?;
        permissions.set_on_staged_file(&file, &self.entry);
        let has_its_time = set_file_mtime(&file, &self.entry);
        Ok(FinishedFile { durability: sync_file(&file, length)?, has_its_time })
    }
}
