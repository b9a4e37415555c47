//! The error of the receiver's end of a handshake.

use std::time::Duration;

use crate::{
    error::Error,
    net::{PeerWaitError, StreamError},
    transfer::user_errors::{
        explain_alert, explain_early_stream_error, explain_stream_error, sender_silent, version_mismatch, wrong_code,
    },
    wire::{
        peer::{Alert, AlertReason},
        reset_code::ENDED,
    },
};

/// Why the receiver's end of a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitiatorError {
    /// The sender did not reply in time.
    NoReply,
    /// The stream failed before the sender's tag arrived.
    Unconfirmed(StreamError),
    /// The stream failed after the sender's tag was verified.
    Stream(StreamError),
    /// The sender refuses the session and gives a reason. Anyone between the two ends can forge this.
    Alert(Alert),
    /// The sender uses another version of the protocol.
    UnsupportedVersion,
    /// The sender's tag is wrong, or something arrived that no honest sender sends before it.
    WrongCode,
}

impl InitiatorError {
    /// Classifies a failure of the stream before the sender's tag arrived. Invalid bytes and an early end count as a
    /// wrong tag.
    pub(super) fn from_unconfirmed(e: PeerWaitError) -> Self {
        match e {
            PeerWaitError::Silent => Self::NoReply,
            PeerWaitError::Stream(StreamError::Wire(_) | StreamError::EndedEarly) => Self::WrongCode,
            PeerWaitError::Stream(e) => Self::Unconfirmed(e),
        }
    }

    /// Classifies a failure of the stream after the sender's tag was verified.
    pub(super) fn from_confirmed(e: PeerWaitError) -> Self {
        match e {
            PeerWaitError::Silent => Self::NoReply,
            PeerWaitError::Stream(e) => Self::Stream(e),
        }
    }

    /// Classifies the sender's alert. Some alerts count as a wrong tag.
    pub(super) fn from_alert(alert: Alert) -> Self {
        match alert.reason {
            AlertReason::Malformed | AlertReason::UnknownSession => Self::WrongCode,
            _ => Self::Alert(alert),
        }
    }

    /// Returns the time after which the sender may have room for this receiver, if it serves too many others now.
    pub(crate) fn busy_wait(&self) -> Option<Duration> {
        match self {
            Self::Alert(Alert { reason: AlertReason::Busy, retry_after: seconds @ 1.. }) => {
                Some(Duration::from_secs((*seconds).into()))
            }
            _ => None,
        }
    }

    /// Whether another handshake may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoReply => true,
            Self::Unconfirmed(e) | Self::Stream(e) => *e != StreamError::Aborted(ENDED),
            Self::Alert(alert) => matches!(alert.reason, AlertReason::Busy | AlertReason::SenderError),
            Self::UnsupportedVersion | Self::WrongCode => false,
        }
    }
}

impl From<InitiatorError> for Error {
    fn from(e: InitiatorError) -> Self {
        match e {
            InitiatorError::NoReply => sender_silent(),
            InitiatorError::Unconfirmed(e) => explain_early_stream_error(&e),
            InitiatorError::Stream(e) => explain_stream_error(&e),
            InitiatorError::Alert(alert) => explain_alert(&alert),
            InitiatorError::UnsupportedVersion => version_mismatch(),
            InitiatorError::WrongCode => wrong_code(),
        }
    }
}
