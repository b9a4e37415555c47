//! How a download ends, and the errors that the users at both ends see.

use crate::{
    error::{Error, Kind},
    net::StreamError,
    text::visible,
    transfer::{session::SessionError, user_errors::explain_stream_error},
    wire::{
        Message, WireError,
        peer::{Done, DownloadOutcome, FailureReason, FileRequest},
    },
};

/// How a download ended without an error.
#[derive(Debug)]
pub(super) enum DownloadEnd {
    /// The receiver has everything.
    Complete,
    /// The receiver has everything but some files, which could not be sent.
    Incomplete(Error),
    /// The receiver's user declined the offer.
    Declined,
    /// The receiver only listed the share, or was interrupted before its user answered.
    NotAccepted,
}

/// Why a download failed.
#[derive(Debug)]
pub(super) enum DownloadError {
    /// A failure at this end. The receiver gets its reason and message.
    Local(FailureReason, Error),
    /// A failure that the receiver reported, or of the connection to it.
    Remote(Error),
    /// The share has ended.
    ShareEnded,
}

impl DownloadError {
    /// Returns the error for a receiver that did not act in time.
    pub(super) fn stalled(message: &str) -> Self {
        Self::Local(FailureReason::ReceiverTimeout, Error::new(Kind::Network, message))
    }

    /// Returns the error for a request, or a message that belongs to one, at the wrong time.
    pub(super) fn unexpected_request() -> Self {
        WireError::Unexpected(FileRequest::TYPE).into()
    }

    /// Returns the error for a receiver of a pipe that another download reads or has read.
    pub(super) fn pipe_taken() -> Self {
        Self::Local(FailureReason::PipeTaken, Error::new(Kind::Refused, "another download has begun to read the pipe"))
    }

    /// Converts a [`Done`] that reports a failure.
    pub(super) fn reported(done: &Done) -> Self {
        let (kind, what) = match done.outcome {
            DownloadOutcome::Disk => (Kind::Disk, "the receiver could not write"),
            DownloadOutcome::Corrupt => (Kind::Corrupt, "the receiver got corrupt content"),
            DownloadOutcome::Interrupted | DownloadOutcome::Declined => {
                (Kind::Refused, "the receiver stopped the download")
            }
            DownloadOutcome::Ok
            | DownloadOutcome::Incomplete
            | DownloadOutcome::Listed
            | DownloadOutcome::Redundant
            | DownloadOutcome::Failed => (Kind::Transfer, "the receiver failed"),
        };
        // The message of an interrupted receiver addresses its own user.
        Self::Remote(if done.message.is_empty() || done.outcome == DownloadOutcome::Interrupted {
            Error::new(kind, what)
        } else {
            Error::new(kind, format!("{what}: {}", visible(&done.message)))
        })
    }

    /// Converts to the error that the sender's user sees.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Local(_, e) | Self::Remote(e) => e,
            Self::ShareEnded => Error::new(Kind::Interrupted, "the share has ended"),
        }
    }
}

impl From<SessionError> for DownloadError {
    fn from(e: SessionError) -> Self {
        match e {
            SessionError::Stream(e) => Self::Remote(explain_stream_error(&e)),
            SessionError::Tampered(_) => Self::Remote(Error::new(Kind::WrongCode, "the session was tampered with")),
            SessionError::Protocol(e) => Self::Local(
                FailureReason::Protocol,
                Error::new(Kind::Transfer, format!("the receiver violated the protocol: {e}")),
            ),
        }
    }
}

impl From<StreamError> for DownloadError {
    fn from(e: StreamError) -> Self {
        SessionError::Stream(e).into()
    }
}

impl From<WireError> for DownloadError {
    fn from(e: WireError) -> Self {
        SessionError::Protocol(e).into()
    }
}
