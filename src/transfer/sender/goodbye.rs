//! The goodbye: the last record of a session and the wait for its delivery, or a reset if the share has ended.

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
        peer::{DoneAck, Failure},
        reset_code::{CANCELLED, ENDED, PEER_CLOSED},
    },
};

/// How long the last record may take to arrive behind the data in flight.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a receiver that has left may take to reconnect to learn why its download failed.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a session ends.
pub(super) enum Goodbye {
    /// With a last record. A receiver that has left has this long to reconnect for it.
    LastRecord(RecordBuilder, Duration),
    /// With a reset, because the share has ended. It overtakes all bytes in flight: on a slow path, a record behind
    /// them would arrive long after this process and its relay have exited.
    Reset,
}

impl Goodbye {
    /// Returns the goodbye for a download that ended with `result`; `None` if nothing can be delivered.
    pub(super) fn new(result: &Result<DownloadEnd, DownloadError>, stream: &ResumableStream) -> Option<Self> {
        let (record, reconnect_timeout) = match result {
            Ok(_) => (RecordBuilder::from_message(&DoneAck {}), Duration::ZERO),
            Err(DownloadError::ShareEnded) => return Some(Self::Reset),
            Err(DownloadError::Remote(_)) => return None,
            Err(DownloadError::Local(..)) if stream.is_broken() => return None,
            Err(DownloadError::Local(reason, e)) => (
                RecordBuilder::from_message(&Failure { reason: *reason, message: message_for_peer(e) }),
                RECONNECT_TIMEOUT,
            ),
        };
        Some(Self::LastRecord(record.ok()?, reconnect_timeout))
    }

    /// Ends the session. Waits until the last record is delivered or the receiver has left. Resets the stream if the
    /// record is not delivered in time.
    pub(super) async fn deliver(
        self,
        writer: SessionWriter,
        reader: &mut SessionReader,
        opener: &mut Opener,
        stream: &ResumableStream,
    ) {
        let (last_record, reconnect_timeout) = match self {
            Self::LastRecord(record, reconnect_timeout) => (record, reconnect_timeout),
            Self::Reset => return writer.reset(ENDED),
        };
        let Ok(mut closing) = writer.close(last_record) else { return };
        let delivery = async {
            // The receiver reads the failure behind the data in flight, and then ends its own direction. Reading
            // continues until then, because stopping that direction earlier would break the stream that carries the
            // failure.
            let drain = async { while let Ok(Some(_)) = reader.read_record(opener).await {} };
            closing.flush_while(drain).await;
            closing.deliver().await;
        };
        let is_settled = tokio::select! {
            delivered = timeout(DELIVERY_TIMEOUT, delivery) => delivered.is_ok(),
            () = receiver_left(stream, reconnect_timeout) => true,
        };
        if !is_settled {
            closing.reset(CANCELLED);
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
