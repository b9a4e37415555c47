//! The file that a download is writing.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
};

use cap_std::fs::Dir;

use super::{
    attributes::{correct_mode, creation_mode, set_file_mtime},
    durability::{Durability, sync_file},
    group_hasher::GroupHasher,
    groups::GROUP_SIZE,
    open_options,
    staged_files::StagedFile,
};
use crate::manifest::Entry;

/// A staged file that is open for writing, and the hash of its content.
#[derive(Debug)]
pub(super) struct IncomingFile {
    index: usize,
    file: File,
    /// Its current length in bytes.
    length: u64,
    hash: ContentHash,
}

/// The hash of an incoming file.
#[derive(Debug)]
pub(super) enum ContentHash {
    /// The hasher of the content so far.
    Partial(Box<GroupHasher>),
    /// The hash of a file that an earlier download has staged completely.
    Complete(blake3::Hash),
}

impl ContentHash {
    /// Returns the hash of a file of `size` bytes up to `offset`, where the sender continues it. That is the beginning
    /// of the file, the end of a staged group, or the end of a complete staged file; `None` for any other offset.
    pub(super) fn at(offset: u64, size: Option<u64>, staged: Option<StagedFile>) -> Option<Self> {
        match (staged, offset) {
            (_, 0) => Some(Self::Partial(Box::default())),
            (Some(StagedFile { whole: Some(hash), .. }), offset) if size == Some(offset) => Some(Self::Complete(hash)),
            (Some(StagedFile { mut groups, .. }), offset)
                if offset % GROUP_SIZE == 0 && offset / GROUP_SIZE <= groups.len() as u64 && size != Some(offset) =>
            {
                groups.truncate((offset / GROUP_SIZE) as usize);
                Some(Self::Partial(Box::new(GroupHasher::after(groups))))
            }
            _ => None,
        }
    }
}

impl IncomingFile {
    /// Opens the file of entry number `index` in the staged folder `dir`. If `offset` is 0, replaces the file by an
    /// empty one; otherwise truncates it to `offset`.
    pub(super) fn open(dir: &Dir, index: usize, entry: &Entry, offset: u64, hash: ContentHash) -> io::Result<Self> {
        let file = if offset > 0 { open_at(dir, entry, offset)? } else { create(dir, entry)? };
        Ok(Self { index, file, length: offset, hash })
    }

    /// Returns the number of its entry.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Returns its current length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends and hashes content.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.length += data.len() as u64;
        if let ContentHash::Partial(hasher) = &mut self.hash {
            hasher.update(data);
        }
        Ok(())
    }

    /// Returns the BLAKE3 hash of its content.
    pub(super) fn hash(&self) -> blake3::Hash {
        match &self.hash {
            ContentHash::Partial(hasher) => hasher.finalize(),
            ContentHash::Complete(hash) => *hash,
        }
    }

    /// Sets the modification time and syncs the file, or leaves the sync for later.
    pub(super) fn finish(self, entry: &Entry) -> io::Result<Durability> {
        set_file_mtime(&self.file, entry);
        sync_file(&self.file, self.length)
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
    correct_mode(&file, entry)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
