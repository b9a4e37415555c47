//! Why a stream ended before it was complete.

use super::connection_lost::{ConnectionLost, application_code};
use crate::wire::WireError;

/// Why a stream ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer reset the stream or asked this side to stop, with this code (RFC 9000 sections 19.4 and 19.5).
    #[error("the peer aborted the stream with code {0}")]
    Aborted(u32),
    /// The stream finished before all expected bytes arrived.
    #[error("the stream ended early")]
    EndedEarly,
    /// More bytes were sent ahead of the first missing or unacknowledged byte than agreed. See
    /// [`super::RecvHalf::set_reorder_window`].
    #[error("more data was sent ahead than agreed")]
    TooFarAhead,
    /// The connection ended.
    #[error("{0}")]
    Lost(ConnectionLost),
    /// The received bytes violate the protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl From<ConnectionLost> for StreamError {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

impl From<quinn::WriteError> for StreamError {
    fn from(e: quinn::WriteError) -> Self {
        match e {
            quinn::WriteError::Stopped(code) => Self::Aborted(application_code(code)),
            quinn::WriteError::ConnectionLost(e) => Self::Lost(e.into()),
            quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => {
                Self::Lost(ConnectionLost::ClosedLocally)
            }
        }
    }
}

impl From<quinn::ReadError> for StreamError {
    fn from(e: quinn::ReadError) -> Self {
        match e {
            quinn::ReadError::Reset(code) => Self::Aborted(application_code(code)),
            quinn::ReadError::ConnectionLost(e) => Self::Lost(e.into()),
            _ => Self::Lost(ConnectionLost::ClosedLocally),
        }
    }
}
