//! The error of a session's reader and writer.

use crate::{crypto::OpenError, net::StreamError, wire::WireError};

/// Why a session ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The stream failed, and no other stream replaced it.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A record does not open: an attacker has changed, dropped, repeated or moved a record.
    #[error(transparent)]
    Tampered(#[from] OpenError),
    /// The confirmed peer sent a message that violates the protocol.
    #[error("the other side broke the protocol: {0}")]
    Protocol(#[from] WireError),
}
