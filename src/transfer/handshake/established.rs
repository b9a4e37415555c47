//! The result of a handshake.

use std::time::Duration;

use crate::{
    crypto::{AttachKey, Opener},
    transfer::session::{SessionReader, SessionWriter, resumable_stream::ResumableStream},
};

/// A session that both ends have confirmed.
pub struct Established {
    /// Sends records to the other end.
    pub writer: SessionWriter,
    /// Receives sealed records from the other end.
    pub reader: SessionReader,
    /// Opens the records that `reader` returns.
    pub opener: Opener,
    /// The stream that `writer` and `reader` use, and its replacements.
    pub stream: ResumableStream,
    /// Authenticates the requests that move this session to another stream.
    pub attach_key: AttachKey,
    /// Whether the receiver reattaches after its stream has failed.
    pub can_reattach: bool,
    /// The receiver's id if it authenticated with a resumption; always `None` at the receiver.
    pub resumption_id: Option<[u8; 16]>,
    /// The time from flight 1 to flight 2: a round trip and the sender's work. Zero at the sender, which does not
    /// measure it.
    pub round_trip: Duration,
}
