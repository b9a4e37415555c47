//! A record of a download before it is sealed.

use crate::{disk::SourceError, transfer::session::RecordBuilder};

/// A record that is ready to be sealed.
pub(super) struct ContentRecord {
    pub(super) record: RecordBuilder,
    /// Content bytes in the record, and the staged bytes that a [`FileStart`](crate::wire::peer::FileStart) in it
    /// skips.
    pub(super) content: u64,
    /// The files that a [`FileFailed`](crate::wire::peer::FileFailed) in it names.
    pub(super) failed: Vec<SourceError>,
}
