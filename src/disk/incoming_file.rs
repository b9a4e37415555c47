//! The file that a download is writing.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
};

use cap_std::fs::Dir;

use super::{
    attributes::{PermissionMask, creation_mode, set_file_mtime},
    durability::{Durability, sync_file},
    group_hasher::GroupHasher,
    groups::GroupTree,
    open_options,
};
use crate::manifest::Entry;

/// A staged file that is open for writing, and the hash of its content.
#[derive(Debug)]
pub(super) struct IncomingFile {
    entry: Entry,
    file: File,
    /// Its current length in bytes.
    length: u64,
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
    /// Opens the file of an entry in the staged folder `dir`. If `offset` is 0, replaces the file by an
    /// empty one; otherwise truncates it to `offset`, before which it has the groups in `tree`.
    pub(super) fn open(dir: &Dir, entry: Entry, offset: u64, tree: GroupTree) -> io::Result<Self> {
        let file = if offset > 0 { open_at(dir, &entry, offset)? } else { create(dir, &entry)? };
        Ok(Self { entry, file, length: offset, hasher: GroupHasher::after(tree) })
    }

    /// Returns the entry of the file.
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns its current length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends and hashes content.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.length += data.len() as u64;
        self.hasher.update(data);
        Ok(())
    }

    /// Returns the BLAKE3 hash of its content.
    pub(super) fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// Sets the permissions and the modification time, and syncs the file or leaves the sync for later.
    pub(super) fn finish(self, permissions: PermissionMask) -> io::Result<FinishedFile> {
        permissions.set_on_staged_file(&self.file, &self.entry);
        let has_its_time = set_file_mtime(&self.file, &self.entry);
        Ok(FinishedFile { durability: sync_file(&self.file, self.length)?, has_its_time })
    }
}

fn create(dir: &Dir, entry: &Entry) -> io::Result<File> {
    match dir.remove_file(entry.path.name()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    Ok(dir.open_with(entry.path.name(), &open_options::for_creating(creation_mode(entry)))?.into_std())
}

fn open_at(dir: &Dir, entry: &Entry, offset: u64) -> io::Result<File> {
    let mut file = dir.open_with(entry.path.name(), &open_options::for_writing())?.into_std();
    if file.metadata()?.len() < offset {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.set_len(offset)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
