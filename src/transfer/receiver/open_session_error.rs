//! Why a session could not be opened.

use std::time::Duration;

use super::receive_error::ReceiveError;
use crate::{
    error::Error,
    transfer::{
        handshake::InitiatorError,
        relay_request::RequestError,
        user_errors::{not_found_nearby, resumption_rejected},
    },
};

/// Why a session could not be opened.
#[derive(Debug)]
pub(super) enum OpenSessionError {
    /// There is no relay to ask: none is configured, and none was found nearby.
    NothingFound,
    /// There is no connection to the relay.
    Dial(Error),
    /// The relay did not connect this receiver to the sender.
    Relay(RequestError),
    /// The handshake with the sender failed.
    Handshake(InitiatorError),
    /// The sender does not accept the stored resumption. This is final: the code is not tried instead.
    ResumptionRejected,
    /// The confirmed session ended before the offer was complete.
    Offer(ReceiveError),
}

impl OpenSessionError {
    /// Returns how long the relay or the sender asks to wait, if it serves as many clients as it may.
    pub(super) fn limit_wait(&self) -> Option<Duration> {
        match self {
            Self::Relay(e) => e.limit_wait(),
            Self::Handshake(e) => e.busy_wait(),
            _ => None,
        }
    }

    /// Returns how far the attempt got. In a race, the error of the attempt that got furthest explains most.
    pub(super) fn stage(&self) -> u8 {
        match self {
            Self::NothingFound => 0,
            Self::Dial(_) => 1,
            Self::Relay(_) => 2,
            Self::Handshake(InitiatorError::WrongCode) => 4,
            Self::Handshake(_) => 3,
            Self::ResumptionRejected => 4,
            Self::Offer(_) => 5,
        }
    }

    /// Whether the sender may not have started yet.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::NothingFound => true,
            Self::Relay(e) => e.is_transient() || e.is_unknown_slot(),
            Self::Dial(e) => e.is_transient(),
            Self::Handshake(e) => e.is_transient(),
            Self::ResumptionRejected | Self::Offer(_) => false,
        }
    }

    /// Whether another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NothingFound => false,
            Self::Dial(e) => e.is_transient(),
            Self::Relay(e) => e.is_transient(),
            Self::Handshake(e) => e.is_transient(),
            Self::ResumptionRejected => false,
            Self::Offer(e) => e.is_transient(),
        }
    }
}

impl From<RequestError> for OpenSessionError {
    fn from(e: RequestError) -> Self {
        Self::Relay(e)
    }
}

impl From<ReceiveError> for OpenSessionError {
    fn from(e: ReceiveError) -> Self {
        Self::Offer(e)
    }
}

impl From<OpenSessionError> for Error {
    fn from(e: OpenSessionError) -> Self {
        match e {
            OpenSessionError::NothingFound => not_found_nearby(None, Duration::ZERO, true),
            OpenSessionError::Dial(e) => e,
            OpenSessionError::Relay(e) => e.into(),
            OpenSessionError::Handshake(e) => e.into(),
            OpenSessionError::ResumptionRejected => resumption_rejected(),
            OpenSessionError::Offer(e) => e.into(),
        }
    }
}
