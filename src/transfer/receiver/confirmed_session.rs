//! The receiver's side of a confirmed session.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    reconnect::Reconnector,
    resumption_store::StoredResumption,
    session_end::{report_failure, report_outcome},
};
use crate::{
    crypto::Opener,
    error::Error,
    net::StreamError,
    route::Route,
    sync::Mutex,
    transfer::session::{RecordBuilder, SessionReader, SessionWriter, receive_window::ReceiveWindow},
    wire::peer::DownloadOutcome,
};

/// The receiver's side of a session that both ends have confirmed.
pub(super) struct ConfirmedSession {
    pub(super) writer: SessionWriter,
    pub(super) reader: SessionReader,
    pub(super) opener: Opener,
    pub(super) window: ReceiveWindow,
    pub(super) reconnector: Reconnector,
    /// The route of the current stream.
    pub(super) route: Arc<Mutex<Route>>,
    /// The credentials for a resumption, if the sender has granted them in this session.
    pub(super) resumption: Option<StoredResumption>,
}

impl ConfirmedSession {
    /// Queues credit for the bytes received so far, if any is due. The next read sends it.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] if the sender acknowledges too little. [`StreamError::Wire`] if the credit cannot
    /// be encoded, which never happens in this protocol version.
    pub(super) fn grant_credit(&mut self) -> Result<(), StreamError> {
        let received = self.reader.received_bytes();
        let Some(credit) = self.window.update(received, received, Instant::now()) else { return Ok(()) };
        self.reader.set_reorder_window(credit.limit - received);
        self.writer.queue(RecordBuilder::from_message(&credit)?)
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
