//! One file of a share while one download reads it.

use std::{io, ops::Range, sync::Arc};

use super::{
    fingerprint::Fingerprint,
    group_reader::hash_groups,
    groups::{GROUP_SIZE, GroupHash, GroupTree},
    hash_progress::HashProgress,
    shared_read::SharedRead,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::SafePath,
};

/// Reads a file from front to back, and checks that it is still the version that was scanned.
#[derive(Debug)]
pub struct SourceFile {
    path: SafePath,
    fingerprint: Fingerprint,
    read: Arc<SharedRead>,
    offset: u64,
}

impl SourceFile {
    pub(super) fn new(path: SafePath, fingerprint: Fingerprint, read: Arc<SharedRead>) -> Self {
        Self { path, fingerprint, read, offset: 0 }
    }

    /// Returns its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.fingerprint.size()
    }

    /// Returns the hashes of a range of its groups.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it was truncated or cannot be read; or the hashing was cancelled.
    pub(super) fn hash_groups(&self, groups: Range<u64>, progress: &HashProgress) -> Result<Vec<GroupHash>> {
        hash_groups(self.read.file(), self.fingerprint.size(), groups, progress).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => truncated(&self.path),
            _ => unavailable(&self.path, &e),
        })
    }

    /// Skips the first groups, which `tree` contains. Returns the offset at which reading continues.
    pub(super) fn skip(&mut self, tree: GroupTree) -> u64 {
        self.offset = self.fingerprint.size().min(tree.groups() * GROUP_SIZE);
        self.read.skip(self.offset, tree);
        self.offset
    }

    /// Reads the next bytes. Fills `buf` unless the file ends, and returns 0 only at the end. Never returns more bytes
    /// in total than the size that was scanned.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it was truncated or cannot be read.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let unread = usize::try_from(self.fingerprint.size() - self.offset).unwrap_or(usize::MAX);
        let wanted = buf.len().min(unread);
        let mut filled = 0;
        while filled < wanted {
            match self.read.read_at(self.offset + filled as u64, &mut buf[filled..wanted]) {
                Ok(0) => return Err(truncated(&self.path)),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unavailable(&self.path, &e)),
            }
        }
        self.read.hash(self.offset, &buf[..filled]);
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Checks, after the last byte, that the file has not changed since the scan. Returns the BLAKE3 hash of its
    /// content.
    ///
    /// # Errors
    /// [`Kind::Transfer`], naming the file: it changed, or was not read to its end.
    pub fn finish(self) -> Result<[u8; 32]> {
        if self.offset != self.fingerprint.size() {
            return Err(Error::new(Kind::Transfer, format!("“{}” was not read completely", self.path)));
        }
        let meta = cap_std::fs::Metadata::from_file(self.read.file()).map_err(|e| unavailable(&self.path, &e))?;
        if Fingerprint::of(&meta) != self.fingerprint {
            return Err(changed(&self.path, "changed while it was being sent"));
        }
        Ok(self.read.file_hash())
    }
}

/// Returns the error for a file that is not the version that was scanned; `how` completes the sentence "“path” …".
pub(super) fn changed(path: &SafePath, how: &str) -> Error {
    Error::new(Kind::Transfer, format!("“{path}” {how}")).hint("run the download again to get the current version")
}

/// Returns the error for a file that can no longer be read.
pub(super) fn unavailable(path: &SafePath, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => changed(path, "no longer exists"),
        _ => changed(path, &format!("can no longer be read: {e}")),
    }
}

fn truncated(path: &SafePath) -> Error {
    changed(path, "was truncated while it was being sent")
}
