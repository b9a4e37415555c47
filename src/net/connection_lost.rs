//! Why a connection ended.

use quinn::VarInt;

use crate::wire::reset_code::PROTOCOL_ERROR;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionLost {
    /// Nothing arrived from the peer for too long.
    #[error("the connection timed out")]
    TimedOut,
    /// The peer closed the connection with this code.
    #[error("the peer closed the connection with code {0}")]
    ClosedByPeer(u32),
    /// This side closed the connection.
    #[error("the connection was closed locally")]
    ClosedLocally,
    /// Any other failure of the connection.
    #[error("the connection failed: {0}")]
    Other(String),
}

impl From<quinn::ConnectionError> for ConnectionLost {
    fn from(e: quinn::ConnectionError) -> Self {
        match e {
            quinn::ConnectionError::TimedOut | quinn::ConnectionError::Reset => Self::TimedOut,
            quinn::ConnectionError::ApplicationClosed(close) => Self::ClosedByPeer(application_code(close.error_code)),
            quinn::ConnectionError::LocallyClosed => Self::ClosedLocally,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Converts a QUIC application error code. Codes above 32 bits are not part of the protocol.
pub(super) fn application_code(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(PROTOCOL_ERROR)
}
