//! The messages that a receiver may send during a download.

use tokio::sync::mpsc;

use crate::wire::{
    Frame, Message, WireError,
    peer::{Credit, Done, FileRequest, StagedFiles, StagedGroups},
};

/// Messages that may wait for the sending side before the receiver's stream is no longer read.
const QUEUE: usize = 4;

/// A decoded frame from the receiver.
pub(super) enum ReceiverFrame {
    /// Flow control, which applies at once.
    Credit(Credit),
    /// A message for the sending side of the download.
    Message(ReceiverMessage),
    /// A frame of an unknown type that may be skipped.
    Skipped,
}

/// A message that the sending side of a download waits for.
pub(super) enum ReceiverMessage {
    /// Files that are staged.
    Staged(StagedFiles),
    /// The receiver requests files.
    Request(FileRequest),
    /// The next groups of a staged file.
    Groups(StagedGroups),
    /// The receiver has finished.
    Done(Done),
}

impl ReceiverFrame {
    /// Decodes a frame.
    ///
    /// # Errors
    /// [`WireError`] for a malformed body and for a type that no receiver sends.
    pub(super) fn decode(frame: &Frame<'_>) -> Result<Self, WireError> {
        let message = match frame.kind {
            Credit::TYPE => return frame.decode().map(Self::Credit),
            StagedFiles::TYPE => ReceiverMessage::Staged(frame.decode()?),
            FileRequest::TYPE => ReceiverMessage::Request(frame.decode()?),
            StagedGroups::TYPE => ReceiverMessage::Groups(frame.decode()?),
            Done::TYPE => ReceiverMessage::Done(frame.decode()?),
            _ if frame.may_be_skipped() => return Ok(Self::Skipped),
            other => return Err(WireError::Unexpected(other)),
        };
        Ok(Self::Message(message))
    }
}

/// Creates the queue from the reading side of a download to its sending side.
pub(super) fn message_queue() -> (mpsc::Sender<ReceiverMessage>, MessageQueue) {
    let (tx, rx) = mpsc::channel(QUEUE);
    (tx, MessageQueue(rx))
}

/// The receiver's messages, in order.
pub(super) struct MessageQueue(mpsc::Receiver<ReceiverMessage>);

impl MessageQueue {
    /// Waits for the next message. Never completes after the reading side has failed, because the reading side reports
    /// the reason.
    pub(super) async fn next(&mut self) -> ReceiverMessage {
        match self.0.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}
