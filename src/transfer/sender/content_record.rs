//! A record of a download before it is sealed.

use std::time::Duration;

use crate::{disk::SourceError, transfer::session::RecordBuilder};

/// A record that is ready to be sealed.
#[derive(Default)]
pub(super) struct ContentRecord {
    pub(super) record: RecordBuilder,
    /// Content bytes in the record, and the staged bytes that a [`FileStart`](crate::wire::peer::FileStart) in it
    /// skips.
    pub(super) content: u64,
    /// Whether a [`FileStart`](crate::wire::peer::FileStart) is in it.
    pub(super) starts_file: bool,
    /// The files that a [`FileFailed`](crate::wire::peer::FileFailed) in it names.
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
