//! The receiver's side of a confirmed session.

use tokio::time::Instant;

use super::{
    reconnect::Reconnector,
    resumption_store::StoredResumption,
    session_end::{report_failure, report_outcome},
};
use crate::{
    crypto::Opener,
    error::Error,
    transfer::session::{RecordBuilder, SessionReader, SessionWriter, receive_window::ReceiveWindow},
    wire::{WireError, peer::DownloadOutcome},
};

/// The receiver's side of a session that both ends have confirmed.
pub(super) struct ConfirmedSession {
    pub(super) writer: SessionWriter,
    pub(super) reader: SessionReader,
    pub(super) opener: Opener,
    pub(super) window: ReceiveWindow,
    pub(super) reconnector: Reconnector,
    /// The credentials for a resumption, if the sender has granted them in this session.
    pub(super) resumption: Option<StoredResumption>,
}

impl ConfirmedSession {
    /// Grants credit for the bytes received so far, if any is due.
    ///
    /// # Errors
    /// [`WireError`] if the credit cannot be encoded, which does not happen with the messages of this version.
    pub(super) async fn grant_credit(&mut self) -> Result<(), WireError> {
        let received = self.reader.received_bytes();
        if let Some(credit) = self.window.update(received, received, Instant::now()) {
            let record = RecordBuilder::from_message(&credit)?;
            let _ = self.writer.send(record).await; // if this fails, the next read returns the reason
        }
        Ok(())
    }

    /// Reports to the sender that the download failed, and closes the session.
    pub(super) async fn abort(self, error: &Error) {
        report_failure(self.writer, self.reconnector, error).await;
    }

    /// Reports a deliberate outcome to the sender, and closes the session.
    pub(super) async fn close(self, outcome: DownloadOutcome) {
        report_outcome(self.writer, self.reconnector, outcome).await;
    }
}
