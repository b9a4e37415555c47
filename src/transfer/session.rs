//! The sealed stream of a confirmed session: records of whole frames, counted in both directions.

pub mod credit;
pub(crate) mod manifest_codec;
mod reader;
mod record;
pub mod resumable_stream;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{
    reader::{OpenedRecord, SessionReader},
    record::RecordBuilder,
    writer::{ClosingWriter, SessionWriter},
};
use crate::{crypto::OpenError, net::StreamError, wire::WireError};

/// The longest sealed record that is sent. Two of them fit into the first credit, so that one can be sealed while the
/// other is on its way.
pub const RECORD: usize = 128 * 1024;

/// Why a session ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The line was cut.
    #[error(transparent)]
    Line(#[from] StreamError),
    /// A record does not open: somebody changed it, or dropped, repeated or moved one.
    #[error(transparent)]
    Tampered(#[from] OpenError),
    /// The other end, which has proved itself, said something that makes no sense.
    #[error("the other side broke the protocol: {0}")]
    Protocol(#[from] WireError),
}
