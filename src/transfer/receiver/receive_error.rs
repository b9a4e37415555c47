//! The error of a receiver's session that ended before the download was complete.

use crate::{
    error::Error,
    net::StreamError,
    transfer::{
        session::{DecompressionError, SessionError},
        user_errors::{
            download_interrupted, explain_failure, explain_session_error, invalid_compression, sender_stalled,
        },
    },
    wire::{
        peer::{Failure, FailureReason},
        reset_code::ENDED,
    },
};

/// Why a receiver's session ended before the download was complete.
#[derive(Debug, Clone)]
pub(super) enum ReceiveError {
    /// The stream failed and was not replaced, a record was altered, or the sender violated the protocol.
    Session(SessionError),
    /// The sender has credit and sends nothing.
    Stalled,
    /// The sender reports that it cannot continue.
    Sender(Failure),
    /// The download cannot complete for a reason that no other session changes, such as a full disk or a wrong hash.
    Final(Error),
    /// The user interrupted the download.
    Interrupted,
}

impl ReceiveError {
    /// Whether another session may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Session(SessionError::Stream(e)) => *e != StreamError::Aborted(ENDED),
            Self::Stalled => true,
            Self::Session(_) | Self::Sender(_) | Self::Final(_) | Self::Interrupted => false,
        }
    }

    /// Whether the connection is the cause. If the session could not be reattached either, that failure explains more.
    pub(super) fn is_disconnection(&self) -> bool {
        match self {
            Self::Sender(failure) => failure.reason == FailureReason::ReceiverTimeout,
            other => other.is_transient(),
        }
    }
}

impl<E: Into<SessionError>> From<E> for ReceiveError {
    fn from(e: E) -> Self {
        Self::Session(e.into())
    }
}

impl From<DecompressionError> for ReceiveError {
    fn from(e: DecompressionError) -> Self {
        match e {
            DecompressionError::Wire(e) => e.into(),
            DecompressionError::BadLength(_) | DecompressionError::Mismatch(_) => Self::Final(invalid_compression(e)),
        }
    }
}

impl From<ReceiveError> for Error {
    fn from(e: ReceiveError) -> Self {
        match e {
            ReceiveError::Session(e) => explain_session_error(&e),
            ReceiveError::Stalled => sender_stalled(),
            ReceiveError::Sender(failure) => explain_failure(&failure),
            ReceiveError::Final(e) => e,
            ReceiveError::Interrupted => download_interrupted(),
        }
    }
}
