//! How lines end: streams and connections that are not complete.

use quinn::VarInt;

use crate::wire::{WireError, reset_code::PROTOCOL_ERROR};

/// Why a stream or its connection ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The other side reset the stream, or asked to stop; the code says why.
    #[error("the stream was ended with code {0}")]
    Aborted(u32),
    /// The stream finished where more had to come.
    #[error("the stream ended early")]
    EndedEarly,
    /// Of what was sent, more is here than was agreed while something before it is missing.
    #[error("more was sent ahead than agreed")]
    TooFarAhead,
    /// The connection is gone.
    #[error("{0}")]
    Lost(ConnectionLost),
    /// Bytes that are not what was agreed.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionLost {
    /// Nothing was heard for too long.
    #[error("the line is dead")]
    TimedOut,
    /// The other side closed it; the code says why.
    #[error("the connection was closed with code {0}")]
    ClosedByPeer(u32),
    /// This side closed it.
    #[error("the connection was closed here")]
    ClosedLocally,
    /// Anything else.
    #[error("the connection failed: {0}")]
    Other(String),
}

impl From<ConnectionLost> for StreamError {
    fn from(lost: ConnectionLost) -> Self {
        Self::Lost(lost)
    }
}

impl From<quinn::ConnectionError> for ConnectionLost {
    fn from(e: quinn::ConnectionError) -> Self {
        match e {
            quinn::ConnectionError::TimedOut | quinn::ConnectionError::Reset => Self::TimedOut,
            quinn::ConnectionError::ApplicationClosed(close) => Self::ClosedByPeer(code(close.error_code)),
            quinn::ConnectionError::LocallyClosed => Self::ClosedLocally,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<quinn::WriteError> for StreamError {
    fn from(e: quinn::WriteError) -> Self {
        match e {
            quinn::WriteError::Stopped(why) => Self::Aborted(code(why)),
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
            quinn::ReadError::Reset(why) => Self::Aborted(code(why)),
            quinn::ReadError::ConnectionLost(e) => Self::Lost(e.into()),
            _ => Self::Lost(ConnectionLost::ClosedLocally),
        }
    }
}

pub(super) fn code(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(PROTOCOL_ERROR)
}
