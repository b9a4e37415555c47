//! The goodbye: the last record of a session, and the wait for its delivery.

use std::time::Duration;

use tokio::time::timeout;

use super::download_error::{DownloadEnd, DownloadError};
use crate::{
    crypto::Opener,
    net::StreamError,
    transfer::{
        session::{RecordBuilder, SessionReader, SessionWriter, resumable_stream::ResumableStream},
        user_errors::message_for_peer,
    },
    wire::{
        peer::{DoneAck, Failure, FailureReason},
        reset_code::{CANCELLED, ENDED, PEER_CLOSED},
    },
};

/// How long the last record may take to arrive behind the data in flight.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the last record may take to arrive when the share ends. After that the data in flight is discarded.
const SHARE_END_DELIVERY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a receiver that has left may take to reconnect to learn why its download failed.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The last record of a session and the terms of its delivery.
pub(super) struct Goodbye {
    last_record: RecordBuilder,
    delivery_timeout: Duration,
    /// The code with which the stream is reset if the record does not arrive in time.
    reset_code: u32,
    reconnect_timeout: Duration,
}

impl Goodbye {
    /// Returns the goodbye for a download that ended with `result`; `None` if nothing can be delivered.
    pub(super) fn new(result: &Result<DownloadEnd, DownloadError>, stream: &ResumableStream) -> Option<Self> {
        let (last_record, reconnect_timeout) = match result {
            Ok(_) => (RecordBuilder::from_message(&DoneAck {}), Duration::ZERO),
            Err(DownloadError::Remote(_)) => return None,
            Err(DownloadError::Local(..)) if stream.is_broken() => return None,
            Err(DownloadError::Local(reason, e)) => (
                RecordBuilder::from_message(&Failure { reason: *reason, message: message_for_peer(e) }),
                RECONNECT_TIMEOUT,
            ),
        };
        let (delivery_timeout, reset_code) = match result {
            Err(DownloadError::Local(FailureReason::ShareEnded, _)) => (SHARE_END_DELIVERY_TIMEOUT, ENDED),
            _ => (DELIVERY_TIMEOUT, CANCELLED),
        };
        Some(Self { last_record: last_record.ok()?, delivery_timeout, reset_code, reconnect_timeout })
    }

    /// Sends the last record and waits until it is delivered or the receiver has left. Resets the stream if it is not
    /// delivered in time.
    pub(super) async fn deliver(
        self,
        writer: SessionWriter,
        reader: &mut SessionReader,
        opener: &mut Opener,
        stream: &ResumableStream,
    ) {
        let Ok(mut closing) = writer.close(self.last_record) else { return };
        let delivery = async {
            // The receiver reads the failure behind the data in flight, and then ends its own direction. Reading
            // continues until then, because stopping that direction earlier would break the stream that carries the
            // failure.
            let drain = async { while let Ok(Some(_)) = reader.read_record(opener).await {} };
            closing.flush_while(drain).await;
            closing.deliver().await;
        };
        let is_settled = tokio::select! {
            delivered = timeout(self.delivery_timeout, delivery) => delivered.is_ok(),
            () = receiver_left(stream, self.reconnect_timeout) => true,
        };
        if !is_settled {
            closing.reset(self.reset_code);
        }
    }
}

/// Waits until the receiver has closed its stream and has not opened another within `reconnect_timeout`.
async fn receiver_left(stream: &ResumableStream, reconnect_timeout: Duration) {
    loop {
        if matches!(stream.wait_until_broken().await, StreamError::Aborted(PEER_CLOSED | CANCELLED))
            && timeout(reconnect_timeout, stream.wait_until_reattached()).await.is_err()
        {
            return;
        }
        stream.wait_until_reattached().await;
    }
}
