//! The receiver's pipeline: one side takes records off the stream while the other writes them to files. A third hashes
//! the data that an earlier download has staged.

use std::{collections::VecDeque, sync::OnceLock, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::{debug, trace};

use super::{
    file_writer::FileWriter,
    group_offer::GroupOffer,
    progress::ReceiveProgress,
    receive_error::ReceiveError,
    stall_detector::{SilentSender, StallDetector},
};
use crate::{
    background::with_background,
    blocking::run_blocking,
    disk::ContentSink,
    net::{PooledBuffer, StreamError},
    rate_limiter::RateLimiter,
    transfer::{
        session::{
            MAX_RECORD, RecordBuilder, SessionReader, SessionWriter, receive_window::ReceiveWindow,
            resumable_stream::ResumableStream,
        },
        timeouts::PROGRESS_INTERVAL,
    },
    wire::{WireError, peer::LAST_RECORD_SLACK},
};

/// When credit is repeated while a write is held up: after this time, then after twice as long each time.
const FIRST_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The longest time between two of these. A sender that hears nothing for ten minutes gives up, and one that hears the
/// same a thousand times in a row, too: that is after three days.
const LAST_KEEP_ALIVE: Duration = Duration::from_secs(5 * 60);

/// A batch for the blocking thread is complete once it holds this many bytes of records.
const BATCH: usize = 1024 * 1024;

/// A batch contains at most this many records, because short ones may be compressed: 8 MiB of content.
const MAX_BATCH_RECORDS: usize = 64;

/// The pipeline of one session. [`run`](Self::run) takes the reader and the file writer that it connects.
pub(super) struct Pipeline<'a> {
    pub(super) writer: &'a mut SessionWriter,
    pub(super) window: ReceiveWindow,
    pub(super) rate_limiter: Option<RateLimiter>,
    pub(super) progress: ReceiveProgress<'a>,
    pub(super) offer: GroupOffer,
}

/// Content that is complete and verified, and has no final names yet.
pub(super) struct ReceivedContent<S> {
    pub(super) reader: SessionReader,
    pub(super) file_writer: FileWriter<S>,
}

/// A sealed record and the offset of its end in the sealed bytes.
struct ArrivedRecord {
    bytes: PooledBuffer,
    end: u64,
}

impl Pipeline<'_> {
    /// Sends the request, and receives records until every file is complete.
    pub(super) async fn run<S: ContentSink>(
        mut self,
        request: Vec<RecordBuilder>,
        mut reader: SessionReader,
        file_writer: FileWriter<S>,
    ) -> Result<ReceivedContent<S>, ReceiveError> {
        self.window.restart_growth(Instant::now());
        let (arrived, records) = mpsc::unbounded_channel(); // bounded by the credit, see `drain`
        let granted = watch::Sender::new(self.window.granted());
        let drain_error = OnceLock::new();
        let stream = reader.stream();
        // The records that have arrived are written before an error of `drain` counts: they may complete the download,
        // or explain the error.
        let draining = async {
            let _ = drain_error.set(drain(&mut reader, arrived, granted.subscribe()).await); // set here only
        };
        let writing = async {
            for record in request {
                self.writer.queue(record)?;
            }
            debug!("the request is queued");
            self.write_files(file_writer, records, &stream, &granted, &drain_error).await
        };
        let file_writer = with_background(writing, draining).await?;
        self.progress.report(&file_writer);
        Ok(ReceivedContent { reader, file_writer })
    }

    /// Writes records in batches and grants credit for them, until every file is complete. Meanwhile offers the groups
    /// of staged files.
    async fn write_files<S: ContentSink>(
        &mut self,
        mut file_writer: FileWriter<S>,
        mut records: mpsc::UnboundedReceiver<ArrivedRecord>,
        stream: &ResumableStream,
        granted: &watch::Sender<u64>,
        drain_error: &OnceLock<ReceiveError>,
    ) -> Result<FileWriter<S>, ReceiveError> {
        let published = file_writer.bytes();
        let mut unpaid: VecDeque<Written> = VecDeque::new();
        let mut report = interval(PROGRESS_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        report.reset();
        while !file_writer.is_complete() || !unpaid.is_empty() {
            let next = async {
                tokio::select! {
                    biased;
                    // What has arrived is written at once, so that an interruption loses nothing. The limiter delays
                    // the credit, and the credit limits the sender.
                    () = allowed(unpaid.front()), if !unpaid.is_empty() => Step::Grant,
                    record = self.offer.next_record() => Step::Offer(record),
                    first = records.recv(), if !file_writer.is_complete() => Step::Arrived(first),
                    _ = report.tick() => Step::Report,
                }
            };
            match self.writer.flush_while(next).await {
                Step::Arrived(Some(first)) => {
                    let batch = Batch::collect(first, &mut records, self.rate_limiter.as_ref());
                    let Batch { records, written } = batch;
                    file_writer = self.stay_alive_while(write_batch(file_writer, records)).await??;
                    unpaid.push_back(written);
                    self.progress.report_written(&file_writer);
                }
                Step::Arrived(None) => {
                    return Err(drain_error.get().cloned().unwrap_or_else(|| StreamError::EndedEarly.into()));
                }
                Step::Grant => {
                    let Some(Written { end, .. }) = unpaid.pop_front() else { continue };
                    if let Some(credit) = self.window.update(stream.received_bytes(), end, Instant::now()) {
                        granted.send_replace(credit.limit);
                        self.writer.queue(RecordBuilder::from_message(&credit)?)?;
                    }
                }
                Step::Offer(record) => self.writer.queue(record?)?,
                Step::Report => match self.offer.progress() {
                    Some(checked) if file_writer.bytes() == published => self.progress.report_checking(checked),
                    _ => self.progress.report_stall(&file_writer),
                },
            }
        }
        Ok(file_writer)
    }

    /// Waits for a write, which a disk or the reader of standard output may hold up for hours. Meanwhile repeats the
    /// last credit, so that the sender does not take this end for dead.
    async fn stay_alive_while<T>(&mut self, writing: impl Future<Output = T>) -> Result<T, ReceiveError> {
        let (mut writing, mut delay) = (Box::pin(writing), FIRST_KEEP_ALIVE);
        loop {
            if let Ok(written) = self.writer.flush_while(timeout(delay, writing.as_mut())).await {
                return Ok(written);
            }
            debug!("a write is held up; the last credit is repeated");
            self.writer.queue(RecordBuilder::from_message(&self.window.repeat())?)?;
            delay = (2 * delay).min(LAST_KEEP_ALIVE);
        }
    }
}

/// The next step of [`Pipeline::write_files`].
enum Step {
    /// A record has arrived; `None` after the last one.
    Arrived(Option<ArrivedRecord>),
    /// The rate limiter allows a batch that is written.
    Grant,
    /// The next groups of staged files are hashed.
    Offer(Result<RecordBuilder, ReceiveError>),
    /// No content has arrived for a while, and a report of the hashing or of a stall may be due.
    Report,
}

/// Waits until the rate limiter allows a batch.
async fn allowed(batch: Option<&Written>) {
    if let Some(allowed_at) = batch.and_then(|batch| batch.allowed_at) {
        sleep_until(allowed_at).await;
    }
}

/// Records that are written, and for which no credit is granted yet.
struct Written {
    /// The offset of the end of the last record.
    end: u64,
    /// When they have passed at the limited rate; `None` if the rate is not limited.
    allowed_at: Option<Instant>,
}

/// Records that are written in one go.
struct Batch {
    records: Vec<PooledBuffer>,
    /// What these records are once they are written.
    written: Written,
}

impl Batch {
    /// Adds records that have already arrived to `first`, and reserves their time.
    fn collect(
        first: ArrivedRecord,
        arrived: &mut mpsc::UnboundedReceiver<ArrivedRecord>,
        limiter: Option<&RateLimiter>,
    ) -> Self {
        let (mut size, mut end) = (first.bytes.len(), first.end);
        let mut records = vec![first.bytes];
        while size < BATCH
            && records.len() < MAX_BATCH_RECORDS
            && let Ok(next) = arrived.try_recv()
        {
            size += next.bytes.len();
            end = next.end;
            records.push(next.bytes);
        }
        let written = Written { end, allowed_at: limiter.map(|limiter| limiter.reserve(size)) };
        Self { records, written }
    }
}

/// Writes records on a thread for blocking work.
async fn write_batch<S: ContentSink>(
    mut file_writer: FileWriter<S>,
    records: Vec<PooledBuffer>,
) -> Result<FileWriter<S>, ReceiveError> {
    let written = run_blocking(move || {
        let result = records.into_iter().try_for_each(|record| file_writer.write_record(record));
        Ok(result.map(|()| file_writer))
    });
    written.await.map_err(ReceiveError::Final)?
}

/// Takes records off the stream as they arrive. Returns why no more arrive.
///
/// A sender that exceeds its credit ends the session, so that the records in the channel are bounded. A sender that
/// does not use its credit for too long has stalled.
async fn drain(
    reader: &mut SessionReader,
    arrived: mpsc::UnboundedSender<ArrivedRecord>,
    mut granted: watch::Receiver<u64>,
) -> ReceiveError {
    let mut stall = StallDetector::default();
    let stream = reader.stream();
    loop {
        let credit = granted.borrow_and_update().saturating_sub(reader.received_bytes());
        reader.set_reorder_window(credit + LAST_RECORD_SLACK);
        // Reads are cancel safe: after a drop in the middle of a record, the next read continues there.
        let read = tokio::select! {
            read = timeout(StallDetector::STEP, reader.read_sealed()) => read,
            Ok(()) = granted.changed() => continue,
        };
        match read {
            Ok(Ok(Some(bytes))) => {
                stall.note_arrival();
                let end = reader.received_bytes();
                trace!("a record has arrived, {end} bytes in all");
                let exceeds_credit = end > *granted.borrow() + LAST_RECORD_SLACK;
                // The record is still passed on: only opening it shows whether the sender has sealed it, or an attacker
                // has repeated or forged it.
                let is_unwanted = arrived.send(ArrivedRecord { bytes, end }).is_err();
                if exceeds_credit || is_unwanted {
                    return WireError::TooLong.into();
                }
            }
            Ok(Ok(None)) => {
                stream.disable_reattach();
                return StreamError::EndedEarly.into();
            }
            Ok(Err(e)) => return e.into(),
            Err(_) => {
                let has_credit = *granted.borrow() >= reader.received_bytes() + MAX_RECORD as u64;
                let can_send = has_credit && !stream.is_broken();
                if stall.note_silent_step(if can_send { SilentSender::CanSend } else { SilentSender::Blocked }) {
                    return ReceiveError::Stalled;
                }
            }
        }
    }
}
