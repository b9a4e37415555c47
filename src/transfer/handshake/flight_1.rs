//! Flight 1 as the sender checks it.

use bytes::Bytes;

use super::cipher_suite;
use crate::{
    crypto::{Cipher, PeerMessage, Role},
    net::{OwnedFrame, PeerWaitError, RecvHalf, StreamError, wait_on_peer},
    processor::Aes,
    transfer::timeouts::REPLY_TIMEOUT,
    wire::peer::{AlertReason, CAN_REATTACH, Hello, HelloMode, MAX_CLEAR_BODY, VERSION},
};

/// A valid flight 1, and the cipher suite that it leads to.
pub(super) struct Flight1 {
    /// The exact bytes, for the transcript.
    pub(super) bytes: Bytes,
    pub(super) suite: u16,
    pub(super) cipher: Cipher,
    pub(super) pake_message: PeerMessage,
    pub(super) mode: HelloMode,
    pub(super) can_reattach: bool,
}

impl Flight1 {
    /// Parses a [`Hello`], negotiates the cipher suite and checks the PAKE message.
    ///
    /// # Errors
    /// The [`AlertReason`] to send to the receiver.
    pub(super) fn parse(aes: Aes, first: &OwnedFrame) -> Result<Self, AlertReason> {
        let hello: Hello = first.frame().decode().map_err(|_| AlertReason::Malformed)?;
        if hello.version != VERSION {
            return Err(AlertReason::Version);
        }
        let (suite, cipher) = cipher_suite::best(cipher_suite::ours(aes), (&hello).into()).ok_or(AlertReason::Suite)?;
        let exchange = hello.exchanges.into_iter().find(|e| e.suite == suite).ok_or(AlertReason::Malformed)?;
        let pake_message = PeerMessage::parse(Role::Receiver, &exchange.message).map_err(|_| AlertReason::Malformed)?;
        Ok(Self {
            bytes: first.bytes().clone(),
            suite,
            cipher,
            pake_message,
            mode: hello.mode,
            can_reattach: hello.capabilities & CAN_REATTACH != 0,
        })
    }
}

/// Reads the first frame of a new stream: a [`Hello`] or an [`AttachRequest`](crate::wire::peer::AttachRequest).
///
/// # Errors
/// [`FirstFrameError::Malformed`] also if nothing arrives within [`REPLY_TIMEOUT`].
pub(crate) async fn read_first_frame(recv: &mut RecvHalf) -> Result<OwnedFrame, FirstFrameError> {
    match wait_on_peer(REPLY_TIMEOUT, [], recv.read_frame(MAX_CLEAR_BODY)).await {
        Ok(frame) => Ok(frame),
        Err(PeerWaitError::Stream(StreamError::Wire(_)) | PeerWaitError::Silent) => Err(FirstFrameError::Malformed),
        Err(PeerWaitError::Stream(_)) => Err(FirstFrameError::Lost),
    }
}

/// Why a stream has no first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstFrameError {
    /// The receiver sent no valid frame in time; an alert can still reach it.
    Malformed,
    /// The stream has failed; no alert can reach the receiver.
    Lost,
}
