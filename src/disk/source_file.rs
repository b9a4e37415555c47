//! One file of a share while one download reads it.

use std::{io, ops::Range, sync::Arc};

use super::{
    groups::{GROUP_SIZE, GroupHash, GroupTree, group_count},
    hash_progress::HashProgress,
    shared_read::SharedRead,
};
use crate::{
    error::{Error, Kind},
    manifest::{FileFailure, SafePath},
};

/// The groups that are hashed at once when a file is compared with what was sent.
const GROUPS_PER_STEP: u64 = 1024;

/// Reads a file from front to back, and checks that it still has the content that was read.
#[derive(Debug)]
pub struct SourceFile {
    path: SafePath,
    /// The announced length in bytes. A file that has grown since is read up to here.
    length: u64,
    read: Arc<SharedRead>,
    offset: u64,
}

/// A file that cannot be sent.
#[derive(Debug)]
pub struct SourceError {
    failure: FileFailure,
    message: String,
}

impl SourceFile {
    pub(super) fn new(path: SafePath, length: u64, read: Arc<SharedRead>) -> Self {
        Self { path, length, read, offset: 0 }
    }

    /// Returns the announced size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.length
    }

    /// Returns the hashes of a range of its groups.
    ///
    /// # Errors
    /// [`SourceError`] if it became shorter or cannot be read, or the hashing was cancelled.
    pub(super) fn hash_groups(
        &self,
        groups: Range<u64>,
        progress: &HashProgress,
    ) -> Result<Vec<GroupHash>, SourceError> {
        self.read.hash_groups(self.length, groups, progress).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => SourceError::new(&self.path, FileFailure::Shorter),
            _ => SourceError::unavailable(&self.path, &e),
        })
    }

    /// Skips the first groups, which `tree` contains. Returns the offset at which reading continues.
    pub(super) fn skip(&mut self, tree: GroupTree) -> u64 {
        self.offset = self.length.min(tree.groups() * GROUP_SIZE);
        self.read.skip(self.offset, tree);
        self.offset
    }

    /// Reads the next bytes. Fills `buf` unless the file ends, and returns 0 only at the end. Never returns more bytes
    /// in total than the size that was announced.
    ///
    /// # Errors
    /// [`SourceError`] if it became shorter or cannot be read.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, SourceError> {
        let unread = usize::try_from(self.length - self.offset).unwrap_or(usize::MAX);
        let wanted = buf.len().min(unread);
        let mut filled = 0;
        while filled < wanted {
            match self.read.read_at(self.offset + filled as u64, &mut buf[filled..wanted]) {
                Ok(0) => return Err(SourceError::new(&self.path, FileFailure::Shorter)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(SourceError::unavailable(&self.path, &e)),
            }
        }
        self.read.hash(self.offset, &buf[..filled]);
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Checks, after the last byte, that the file still has the content that was read. Returns the BLAKE3 hash of that
    /// content.
    ///
    /// If its metadata has changed since it was opened, the content is hashed again, up to the announced size. So a
    /// file that only grew has not changed, nor has one whose permissions or links changed.
    ///
    /// # Errors
    /// [`SourceError`] if it changed, or was not read to its end.
    pub fn finish(self, progress: &HashProgress) -> Result<[u8; 32], SourceError> {
        let changed = || SourceError::new(&self.path, FileFailure::Changed);
        if self.offset != self.length {
            return Err(changed());
        }
        let sent = self.read.file_hash();
        let is_suspect = self.read.has_new_metadata().map_err(|e| SourceError::unavailable(&self.path, &e))?;
        if is_suspect && self.hash_again(progress)? != sent {
            return Err(changed());
        }
        Ok(sent)
    }

    fn hash_again(&self, progress: &HashProgress) -> Result<[u8; 32], SourceError> {
        let (mut tree, all) = (GroupTree::default(), group_count(self.length));
        while tree.groups() < all {
            let step = tree.groups()..all.min(tree.groups() + GROUPS_PER_STEP);
            tree.extend(self.hash_groups(step, progress)?);
        }
        Ok(*tree.root().unwrap_or_else(|| blake3::hash(&[])).as_bytes())
    }
}

impl SourceError {
    /// Creates the error for a file of the share.
    pub(super) fn new(path: &SafePath, failure: FileFailure) -> Self {
        Self { failure, message: format!("“{path}” {failure}") }
    }

    /// Creates the error for a file that an I/O error makes unavailable.
    pub(super) fn unavailable(path: &SafePath, e: &io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => Self::new(path, FileFailure::Gone),
            _ => Self { message: format!("“{path}” can no longer be read: {e}"), failure: FileFailure::Unreadable },
        }
    }

    /// Creates the error for the number of an entry that is not a file.
    pub(super) fn not_a_file(index: usize) -> Self {
        Self { failure: FileFailure::Gone, message: format!("entry {index} is not a file of this share") }
    }

    /// Returns the class of the failure.
    pub fn failure(&self) -> FileFailure {
        self.failure
    }

    /// Returns the failure as a sentence that names the file.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<SourceError> for Error {
    fn from(e: SourceError) -> Self {
        Self::new(Kind::Transfer, e.message).hint("run the download again to get the current version")
    }
}
