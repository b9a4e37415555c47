//! The destination of the content of a download.

use std::sync::Arc;

use super::{
    errors::protocol_violation, publisher::PublishedDownload, staged_files::StagedFile, staged_hasher::StagedHasher,
};
use crate::{
    error::Result,
    manifest::{FileFailure, Manifest},
};

/// The destination of the content of a download: a staging folder ([`Sink`](super::Sink)) or an
/// output ([`OutputSink`](super::OutputSink)). The sender decides in which order files arrive.
pub(crate) trait ContentSink: Send + 'static {
    /// Returns the manifest of what is downloaded.
    fn manifest(&self) -> &Arc<Manifest>;

    /// Returns the files that an earlier download has staged, in the order in which they are offered to the sender.
    fn staged(&self) -> &[StagedFile] {
        &[]
    }

    /// Returns a hasher of the staged files, if there can be any. Content may be written meanwhile.
    ///
    /// # Errors
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the staging folder cannot be opened again.
    fn hash_staged(&self) -> Result<Option<StagedHasher>> {
        Ok(None)
    }

    /// Returns the bytes of files that an earlier download has published.
    fn published_bytes(&self) -> u64 {
        0
    }

    /// Starts file entry `index` at an offset: 0, the end of a staged group, or the end of a complete staged file.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if the sender breaks the protocol: the entry is not a wanted
    /// file, was started before, another file is not finished, or the offset was not offered.
    /// [`Kind::Disk`](crate::error::Kind::Disk) if the file cannot be opened.
    fn start_file(&mut self, index: usize, offset: u64) -> Result<()>;

    /// Appends content to the current file.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if the file becomes longer than announced or no file is
    /// started; [`Kind::Disk`](crate::error::Kind::Disk) if the write fails, or if a file of unknown size becomes too
    /// long.
    fn write(&mut self, data: &[u8]) -> Result<()>;

    /// Finishes the current file: checks its size and its BLAKE3 hash.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if the file is shorter than announced or no file is started;
    /// [`Kind::Corrupt`](crate::error::Kind::Corrupt), naming the file, if its content does not match `hash`;
    /// [`Kind::Disk`](crate::error::Kind::Disk) if an I/O operation fails.
    fn finish_file(&mut self, hash: &[u8; 32]) -> Result<()>;

    /// Records that the sender cannot send file entry `index`: the current file, or one that was not started. Discards
    /// what is staged of it. Returns the length of the discarded content of the current file.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) for any other entry, and if the content cannot be discarded;
    /// [`Kind::Disk`](crate::error::Kind::Disk) if an I/O operation fails.
    fn fail_file(&mut self, index: usize, reason: FileFailure) -> Result<u64>;

    /// Records that the sender has the same first `groups` groups of a staged file. Returns whether any of the groups
    /// is new.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if they were not offered.
    fn confirm_groups(&mut self, _index: usize, _groups: u64) -> Result<bool> {
        Err(protocol_violation("a confirmation of data that was not offered"))
    }

    /// Whether every wanted file is finished or has failed.
    fn is_complete(&self) -> bool;

    /// Completes the download, without the files that have failed.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if files are missing.
    /// [`Kind::Disk`](crate::error::Kind::Disk) if an I/O operation fails, or a final name exists that was free when
    /// the download was planned; then published entries stay published, and the others stay in the staging folder.
    fn publish(self) -> Result<PublishedDownload>;

    /// Returns the index of the entry with this number in the sender's manifest.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if there is none, or it is not selected.
    fn index_of(&self, number: u32) -> Result<usize> {
        self.manifest().index_of(number).ok_or_else(|| protocol_violation("an entry that was not requested"))
    }
}
