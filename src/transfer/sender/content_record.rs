//! A record of a download before it is sealed.

use std::time::Duration;

use tokio::sync::mpsc;

use super::download_error::DownloadError;
use crate::{
    disk::SourceError,
    net::BufferPool,
    transfer::session::RecordBuilder,
    wire::{WireError, peer::FileFailed},
};

/// Bytes of a record that the frames around the content of a file take at most.
pub(super) const FRAME_SPACE: usize = 64;

/// Content is read in multiples of this many bytes. BLAKE3 hashes as many at once, and they are whole pages.
const BLOCK: usize = 8 * 1024;

/// The records of a download, in order. The channel closes after the last record or an error.
pub(super) type ContentRecords = mpsc::Receiver<Result<ContentRecord, DownloadError>>;

/// A record that is ready to be sealed.
#[derive(Default)]
pub(super) struct ContentRecord {
    pub(super) record: RecordBuilder,
    /// Content bytes in the record, and the staged bytes that a [`FileStart`](crate::wire::peer::FileStart) in it
    /// skips.
    pub(super) content: u64,
    /// Whether a [`FileStart`](crate::wire::peer::FileStart) is in it.
    pub(super) starts_file: bool,
    /// The files that a [`FileFailed`] in it names.
    pub(super) failed: Vec<SourceError>,
    /// What its compression took, if it is compressed.
    pub(super) compression: Option<CompressionCost>,
}

/// What the compression of a record took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompressionCost {
    /// Bytes before compression.
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl ContentRecord {
    /// Creates a record without frames.
    pub(super) fn empty(buffers: &BufferPool) -> Self {
        Self { record: RecordBuilder::with_buffer(buffers.get()), ..Self::default() }
    }

    /// Adds the message that a file cannot be sent.
    pub(super) fn push_failure(&mut self, entry: u32, e: SourceError) -> Result<(), WireError> {
        self.record.push(&FileFailed { entry, reason: e.failure() })?;
        self.failed.push(e);
        Ok(())
    }
}

/// Returns how many content bytes to read into `room` bytes: whole blocks if at least one fits.
pub(super) fn content_limit(room: usize) -> usize {
    if room < BLOCK { room } else { room - room % BLOCK }
}
