//! Sends the records of a download as far as the receiver's credit allows.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::timeout;

use super::{download_error::DownloadError, progress::SendProgress};
use crate::{
    transfer::session::{RecordBuilder, SessionWriter, resumable_stream::ResumableStream, send_credit::SendCredit},
    wire::peer::Ack,
};

/// A receiver that sends nothing for this long is abandoned, because other receivers may wait for its download permit.
/// The time is long because a disk may hang and a user may have to answer a question.
pub(super) const RECEIVER_STALL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The receiver stores its sealed bytes until they are acknowledged. The sender sends an [`Ack`] before its next record
/// when this many bytes are not acknowledged.
const ACK_AFTER: u64 = 16 * 1024;

/// Seals and sends the records of one download.
pub(super) struct RecordSender<'a> {
    pub(super) writer: &'a mut SessionWriter,
    pub(super) stream: &'a ResumableStream,
    pub(super) credit: &'a SendCredit,
    pub(super) progress: &'a SendProgress,
    /// Sealed bytes that all sessions of the share store until they are acknowledged.
    pub(super) unacknowledged: &'a AtomicU64,
    /// The offset in the receiver's sealed stream that was acknowledged last.
    pub(super) acknowledged: u64,
}

impl RecordSender<'_> {
    /// Sends a record with `content` bytes of content, once the receiver has granted credit for it.
    ///
    /// # Errors
    /// [`DownloadError`] if the receiver grants too little credit for [`RECEIVER_STALL_TIMEOUT`], or the session is
    /// over.
    pub(super) async fn send(&mut self, record: RecordBuilder, content: u64) -> Result<(), DownloadError> {
        if self.stream.received_bytes() >= self.acknowledged + ACK_AFTER {
            self.acknowledge().await?;
        }
        self.send_record(record, content).await
    }

    /// Acknowledges all bytes that have arrived from the receiver.
    ///
    /// # Errors
    /// As [`RecordSender::send`].
    pub(super) async fn acknowledge(&mut self) -> Result<(), DownloadError> {
        let received = self.stream.received_bytes();
        self.acknowledged = received;
        self.send_record(RecordBuilder::from_message(&Ack { received })?, 0).await
    }

    /// Waits for a future. Meanwhile sends the unacknowledged bytes again over each new stream: see
    /// [`SessionWriter::flush_while`].
    pub(super) async fn flush_while<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.writer.flush_while(future).await
    }

    /// Waits for something that the receiver must send. Returns `None` if nothing at all has arrived from it for
    /// [`RECEIVER_STALL_TIMEOUT`].
    pub(super) async fn wait_for_receiver<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        wait_for_receiver(self.writer, self.stream, future).await
    }

    async fn send_record(&mut self, record: RecordBuilder, content: u64) -> Result<(), DownloadError> {
        let end = self.writer.sealed_bytes() + record.sealed_length();
        let credit = self.credit.wait_until_sendable(end, || self.unacknowledged.load(Ordering::Relaxed));
        let granted = wait_for_receiver(self.writer, self.stream, credit).await;
        granted.ok_or_else(|| DownloadError::stalled("the receiver stopped accepting data"))?;
        self.progress.count_sent(end, content);
        Ok(self.writer.send(record).await?)
    }
}

/// See [`RecordSender::wait_for_receiver`].
async fn wait_for_receiver<T>(
    writer: &mut SessionWriter,
    stream: &ResumableStream,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::pin!(future);
    loop {
        let heard = stream.received_bytes();
        match writer.flush_while(timeout(RECEIVER_STALL_TIMEOUT, future.as_mut())).await {
            Ok(value) => return Some(value),
            Err(_) if stream.received_bytes() > heard => {} // it is alive: its disk or its reader is slow
            Err(_) => return None,
        }
    }
}
