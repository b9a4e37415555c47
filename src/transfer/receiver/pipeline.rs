//! The receiver's pipeline: the line is drained on one side while records are unpacked on the other.

use std::sync::OnceLock;

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::transfer::Events;
use crate::transfer::receiver::confirmed_session::StallDetector;
use crate::transfer::receiver::file_writer::FileWriter;
use crate::transfer::receiver::offer::off_thread;
use crate::transfer::session::receive_window::ReceiveWindow;
use crate::transfer::session::{MAX_RECORD, RecordBuilder, SessionReader, SessionWriter};
use crate::transfer::timeouts::PROGRESS_INTERVAL;
use crate::transfer::user_errors::{explain_session_error, explain_stream_error};
use crate::{
    background::with_background,
    error::{Error, Result},
    event::Event,
    net::{PooledBuffer, StreamError},
    rate_limiter::RateLimiter,
    wire::{WireError, peer::LAST_RECORD_SLACK},
};

/// Bytes of records that are unpacked in one go.
const BATCH: usize = 1024 * 1024;

/// What is needed beside the stream and the disk.
pub(crate) struct Pipeline<'a> {
    pub(crate) out: &'a mut SessionWriter,
    pub(crate) window: ReceiveWindow,
    pub(crate) pace: Option<RateLimiter>,
    pub(crate) events: &'a Events,
    pub(crate) total: Option<u64>,
}

/// A download that is complete, and has no names yet.
pub(crate) struct ReceivedContent {
    pub(crate) incoming: SessionReader,
    pub(crate) unpacker: FileWriter,
}

impl Pipeline<'_> {
    /// Sends the request, and takes records until every file is complete.
    pub(crate) async fn run(
        mut self,
        request: Vec<RecordBuilder>,
        mut incoming: SessionReader,
        unpacker: FileWriter,
    ) -> Result<ReceivedContent> {
        let (records_tx, records) = mpsc::unbounded_channel(); // the credit is its bound, see `drain`
        let granted = watch::Sender::new(self.window.granted());
        let ended = OnceLock::new();
        let draining = async {
            // What has arrived is unpacked first: it may hold the reason, or be all.
            let _ = ended.set(drain(&mut incoming, records_tx, granted.subscribe()).await);
        };
        let unpacking = async {
            for record in request {
                let _ = self.out.send(record).await; // where that fails, what is read says why
            }
            self.unpack(unpacker, records, &granted, &ended).await
        };
        let unpacker = with_background(unpacking, draining).await?;
        self.events.report(Event::Progress { bytes: unpacker.bytes(), total: self.total }).await;
        Ok(ReceivedContent { incoming, unpacker })
    }

    async fn unpack(
        &mut self,
        mut unpacker: FileWriter,
        mut records: mpsc::UnboundedReceiver<(PooledBuffer, u64)>,
        granted: &watch::Sender<u64>,
        ended: &OnceLock<Error>,
    ) -> Result<FileWriter> {
        let mut reported = Instant::now();
        while !unpacker.is_complete() {
            let Some((first, mut received)) = self.out.flush_while(records.recv()).await else {
                return Err(ended.get().cloned().unwrap_or_else(|| explain_stream_error(&StreamError::EndedEarly)));
            };
            let mut size = first.len();
            let mut batch = vec![first];
            while size < BATCH
                && let Ok((record, offset)) = records.try_recv()
            {
                size += record.len();
                received = offset;
                batch.push(record);
            }
            if let Some(pace) = &self.pace {
                pace.acquire(size).await; // credit follows what is unpacked, and the sender follows credit
            }
            unpacker = off_thread(move || {
                batch.into_iter().try_for_each(|record| unpacker.take(record))?;
                Ok(unpacker)
            })
            .await?;
            if let Some(credit) = self.window.note_drained(received, Instant::now()) {
                granted.send_replace(credit.limit);
                let record = RecordBuilder::from_message(&credit).map_err(|e| explain_session_error(&e.into()))?;
                let _ = self.out.send(record).await; // where that fails, what is read next says why
            }
            if reported.elapsed() >= PROGRESS_INTERVAL {
                reported = Instant::now();
                self.events.try_report(Event::Progress { bytes: unpacker.bytes(), total: self.total });
            }
        }
        Ok(unpacker)
    }
}

/// Takes records off the line as they come, with the offset behind each, and says why no more will come. A sender that
/// goes beyond its credit is cut, so that what waits here is bounded; one that does not use its credit for too long
/// counts as gone.
async fn drain(
    incoming: &mut SessionReader,
    records: mpsc::UnboundedSender<(PooledBuffer, u64)>,
    granted: watch::Receiver<u64>,
) -> Error {
    let mut stall = StallDetector::default();
    let carrier = incoming.stream();
    loop {
        // Cut off in the middle of a record, the read begins where it stopped.
        match timeout(StallDetector::STEP, incoming.read_sealed()).await {
            Ok(Ok(Some(record))) => {
                stall = StallDetector::default();
                let is_beyond = incoming.received_bytes() > *granted.borrow() + LAST_RECORD_SLACK;
                // Only opening the record tells whether it is the sender's, or was repeated or made up on the way.
                let is_over = records.send((record, incoming.received_bytes())).is_err();
                if is_beyond || is_over {
                    return explain_session_error(&WireError::TooLong.into());
                }
            }
            Ok(Ok(None)) => {
                carrier.disable_reattach();
                return explain_stream_error(&StreamError::EndedEarly);
            }
            Ok(Err(e)) => return explain_session_error(&e),
            Err(_) => {
                let may_send =
                    *granted.borrow() >= incoming.received_bytes() + MAX_RECORD as u64 && !carrier.is_broken();
                if let Err(e) = stall.nothing_came(may_send) {
                    return e;
                }
            }
        }
    }
}
