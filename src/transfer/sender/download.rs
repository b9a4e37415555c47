//! One download at the sender: the offer, the files, the receiver's confirmation and the goodbye.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tracing::debug;

use super::{
    capacity::SessionOrigin,
    compression_policy::CompressionPolicy,
    content_encoder::ContentEncoder,
    content_record::ContentRecords,
    download_error::{DownloadEnd, DownloadError},
    failed_files::FailedFiles,
    file_reader::FileReader,
    goodbye::Goodbye,
    group_queue::GroupQueue,
    messages::{MessageQueue, ReceiverFrame, ReceiverMessage, message_queue},
    offer::{OfferReply, PreparedOffer},
    pipe_reader::PipeReader,
    pipe_use::PipeUse,
    progress::SendProgress,
    record_sender::RecordSender,
    requested_files::RequestedFiles,
    session_table::SessionEntry,
    share::Share,
};
use crate::{
    crypto::Opener,
    disk::Source,
    error::{Error, Kind, Result},
    net::StreamError,
    route::Route,
    transfer::{
        handshake::Established,
        session::{
            SessionReader, SessionWriter, idle_records::IdleRecords, resumable_stream::ResumableStream,
            send_credit::SendCredit,
        },
    },
    wire::{
        Frame, Message, WireError,
        peer::{Credit, Done, DownloadOutcome, FailureReason},
    },
};

/// The interval of acknowledgements while no content is ready. A receiver that has granted credit abandons a sender
/// that is silent for three times as long.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a download that may finish after the end of the share waits for its receiver to reattach.
const CLOSING_REATTACH_TIMEOUT: Duration = Duration::from_secs(60);

/// One download that is being served.
pub(super) struct Download {
    share: Arc<Share>,
    stream: ResumableStream,
    credit: SendCredit,
    progress: SendProgress,
}

impl Download {
    /// Creates the download of receiver `number`, whose session uses `stream` on this route.
    pub(super) fn new(share: Arc<Share>, number: u64, route: Route, stream: ResumableStream) -> Self {
        let progress = SendProgress::new(number, route, share.events().clone());
        Self { share, stream, credit: SendCredit::new(), progress }
    }

    /// Serves the download to its end. `receiver` is the id of the receiver's resumption grant.
    pub(super) async fn run(
        self,
        session: Established,
        receiver: [u8; 16],
        offer: Result<PreparedOffer, DownloadError>,
    ) {
        let entry = self.share.sessions().insert(&session, receiver, self.progress.route());
        let Established { mut writer, mut reader, mut opener, resumption_id, .. } = session;
        let origin = if resumption_id.is_some() { SessionOrigin::Resumption } else { SessionOrigin::Code };
        self.stream.count_unacknowledged_in(self.share.unacknowledged());
        // The receiver may acknowledge flight 2 before anything else is sent.
        self.progress.set_sealed(writer.sealed_bytes());
        let permit = self.share.capacity().acquire_session(origin).await;
        let result = match offer {
            _ if permit.is_none() => Err(too_many_sessions()),
            Err(e) => Err(e),
            Ok(offer) => {
                let (messages_tx, messages) = message_queue();
                let sender = self.record_sender(&mut writer);
                tokio::select! {
                    biased; // a lost connection may end the share too, and is the better reason
                    error = self.read_messages(&mut reader, &mut opener, messages_tx) => Err(error),
                    result = self.send_all(sender, messages, offer, &entry, origin) => result,
                    lost = self.wait_until_abandoned(&entry) => Err(lost.into()),
                    lost = self.wait_until_unreachable() => Err(lost.into()),
                    () = self.wait_until_ended(origin) => Err(DownloadError::ShareEnded),
                }
            }
        };
        if let (Some(pipe), false) = (self.share.pipe(), matches!(result, Ok(DownloadEnd::Complete))) {
            pipe.note_failure(self.progress.number());
        }
        let goodbye = Goodbye::new(&result, &self.stream);
        // The end is reported before the goodbye, so that a share that is interrupted during the goodbye of a complete
        // download has no running download.
        match result {
            Ok(DownloadEnd::Complete) => {
                self.share.note_complete(receiver);
                self.progress.finish(Ok(()));
            }
            Ok(DownloadEnd::Incomplete(e)) => {
                self.share.note_incomplete(receiver);
                self.progress.finish(Err(e));
            }
            Ok(DownloadEnd::Declined) => self.progress.report_declined(),
            Ok(DownloadEnd::NotAccepted) => {}
            Err(e) => self.progress.finish(Err(e.into_error())),
        }
        if let Some(goodbye) = goodbye {
            goodbye.deliver(writer, &mut reader, &mut opener, &self.stream).await;
        }
    }

    fn record_sender<'a>(&'a self, writer: &'a mut SessionWriter) -> RecordSender<'a> {
        RecordSender {
            writer,
            stream: &self.stream,
            credit: &self.credit,
            progress: &self.progress,
            unacknowledged: self.share.unacknowledged(),
            acknowledged: 0,
        }
    }

    /// Sends the offer and the requested files, and waits for the receiver's confirmation.
    async fn send_all(
        &self,
        mut sender: RecordSender<'_>,
        mut messages: MessageQueue,
        mut offer: PreparedOffer,
        entry: &SessionEntry,
        origin: SessionOrigin,
    ) -> Result<DownloadEnd, DownloadError> {
        let files = match offer.present(&mut sender, &mut messages).await? {
            // A receiver that skips the only file has not used up the pipe.
            OfferReply::Accepted(files) if files.count() == 0 && self.share.pipe().is_some() => {
                return Ok(DownloadEnd::NotAccepted);
            }
            OfferReply::Accepted(files) => files,
            OfferReply::Ended(done) => return end_before_request(&done),
        };
        debug!("the files are requested");
        self.start(&files, origin).await?;
        entry.mark_downloading();
        let groups = GroupQueue::new(&files.staged);
        let reply = receive_groups(&mut messages, &groups);
        tokio::pin!(reply);
        let mut failed = FailedFiles::default();
        let reply = tokio::select! {
            early = &mut reply => early,
            sent = self.send_files(&mut sender, offer.source, files, groups.clone(), &mut failed) => {
                sent?;
                let reply = sender.wait_for_receiver(reply).await;
                reply.ok_or_else(|| DownloadError::stalled("the receiver did not confirm that it has everything"))?
            }
        };
        match (reply?, failed.error()) {
            (ReceiverMessage::Done(Done { outcome: DownloadOutcome::Ok, .. }), None) => Ok(DownloadEnd::Complete),
            (ReceiverMessage::Done(Done { outcome: DownloadOutcome::Incomplete, .. }), Some(e)) => {
                Ok(DownloadEnd::Incomplete(e))
            }
            (ReceiverMessage::Done(done), _) => Err(DownloadError::reported(&done)),
            _ => Err(DownloadError::unexpected_request()),
        }
    }

    /// Takes a download permit and reports the start.
    async fn start(&self, files: &RequestedFiles, origin: SessionOrigin) -> Result<(), DownloadError> {
        let Some(permit) = self.share.acquire_download(origin).await else {
            if self.share.pipe().is_some() {
                return Err(DownloadError::pipe_taken());
            }
            let e = Error::new(Kind::Refused, "the download limit of the share is reached");
            return Err(DownloadError::Local(FailureReason::DownloadLimitReached, e));
        };
        self.progress.accept(permit, files);
        Ok(())
    }

    /// Sends the requested files. Adds those that cannot be sent to `failed`.
    async fn send_files(
        &self,
        sender: &mut RecordSender<'_>,
        source: Arc<Source>,
        files: RequestedFiles,
        groups: GroupQueue,
        failed: &mut FailedFiles,
    ) -> Result<(), DownloadError> {
        let (encoder, compression) = ContentEncoder::new(self.share.compression());
        let mut policy = CompressionPolicy::new(Instant::now(), self.share.count_sent(0));
        let (_reader, mut records) = match self.share.pipe() {
            Some(pipe) => (None, self.spawn_pipe_reader(pipe, encoder)?),
            None => {
                let (reader, records) = FileReader::spawn(source, files, groups, encoder, self.share.buffers());
                (Some(reader), records)
            }
        };
        loop {
            // Both ends may hash staged data for long before there is a record.
            match sender.flush_while(timeout(KEEP_ALIVE_INTERVAL, records.recv())).await {
                Ok(Some(Ok(record))) => {
                    if !record.failed.is_empty() {
                        self.share.scan().invalidate().await;
                    }
                    record.failed.iter().for_each(|e| failed.add(e));
                    policy.note_filled(Instant::now(), record.compression);
                    let sealed = record.record.sealed_length();
                    sender.send(record.record, record.content).await?;
                    compression.set(policy.note_sent(Instant::now(), self.share.count_sent(sealed)));
                }
                Ok(Some(Err(e))) => return Err(e),
                Ok(None) => return Ok(()),
                Err(_) => sender.acknowledge().await?,
            }
        }
    }

    /// Takes the pipe of the share and starts to read it.
    fn spawn_pipe_reader(&self, pipe: &PipeUse, encoder: ContentEncoder) -> Result<ContentRecords, DownloadError> {
        let (pipe, path) = pipe.take(self.progress.number()).ok_or_else(DownloadError::pipe_taken)?;
        PipeReader::spawn(pipe, path, encoder, self.share.buffers())
    }

    /// Reads the receiver's messages until the session fails. If the receiver only ends its direction, the sending side
    /// notices.
    async fn read_messages(
        &self,
        reader: &mut SessionReader,
        opener: &mut Opener,
        messages: mpsc::Sender<ReceiverMessage>,
    ) -> DownloadError {
        let mut idle = IdleRecords::default();
        loop {
            let handled = match reader.read_record(opener).await {
                Ok(Some(record)) => match self.handle_record(&record, &messages).await {
                    Ok(is_progress) => idle.note(is_progress),
                    Err(e) => Err(e),
                },
                Ok(None) => std::future::pending().await,
                Err(e) => return e.into(),
            };
            if let Err(e) = handled {
                return e.into();
            }
        }
    }

    /// Handles the frames of a record. Returns whether they change the state of the download.
    async fn handle_record(
        &self,
        mut record: &[u8],
        messages: &mpsc::Sender<ReceiverMessage>,
    ) -> Result<bool, WireError> {
        if record.is_empty() {
            return Err(WireError::Malformed);
        }
        let mut is_progress = false;
        while !record.is_empty() {
            match ReceiverFrame::decode(&Frame::split(&mut record)?)? {
                ReceiverFrame::Credit(credit) => is_progress |= self.apply_credit(credit)?,
                ReceiverFrame::Message(message) => {
                    let _ = messages.send(message).await; // cannot fail: both sides run in one task
                    is_progress = true;
                }
                ReceiverFrame::Skipped => {}
            }
        }
        Ok(is_progress)
    }

    /// Applies the receiver's credit. Returns whether it grants or acknowledges anything.
    fn apply_credit(&self, credit: Credit) -> Result<bool, WireError> {
        let received = credit.received;
        let is_progress = self.credit.update(credit, self.progress.sealed()).map_err(|_| WireError::Malformed)?;
        self.stream.acknowledge(received)?;
        self.progress.acknowledge(received);
        Ok(is_progress)
    }

    /// Waits until the session has waited too long for another stream.
    async fn wait_until_abandoned(&self, entry: &SessionEntry) -> StreamError {
        entry
            .wait_until_abandoned(
                |e| self.progress.report_waiting(e),
                |e, route| self.progress.report_resumed(e, route),
            )
            .await
    }

    /// Waits until the share is closing and the receiver has been disconnected for [`CLOSING_REATTACH_TIMEOUT`].
    async fn wait_until_unreachable(&self) -> StreamError {
        self.share.wait_until_closing().await;
        loop {
            let lost = self.stream.wait_until_broken().await;
            if self.stream.is_closed() {
                return std::future::pending().await; // the reading side reports the reason
            }
            if timeout(CLOSING_REATTACH_TIMEOUT, self.stream.wait_until_reattached()).await.is_err() {
                return lost;
            }
        }
    }

    /// Waits until this download must end with the share. A closing share lets accepted and resumed downloads finish.
    async fn wait_until_ended(&self, origin: SessionOrigin) {
        self.share.wait_until_closing().await;
        if origin == SessionOrigin::Resumption || self.progress.is_accepted() {
            self.share.wait_until_ending().await;
        }
    }
}

/// Passes the receiver's staged groups to `groups`. Returns the first other message.
async fn receive_groups(messages: &mut MessageQueue, groups: &GroupQueue) -> Result<ReceiverMessage, WireError> {
    loop {
        match messages.next().await {
            ReceiverMessage::Groups(page) => groups.push(page)?,
            other => return Ok(other),
        }
    }
}

/// Converts a [`Done`] that arrives instead of a request.
fn end_before_request(done: &Done) -> Result<DownloadEnd, DownloadError> {
    match done.outcome {
        DownloadOutcome::Declined => Ok(DownloadEnd::Declined),
        DownloadOutcome::Listed | DownloadOutcome::Redundant | DownloadOutcome::Interrupted => {
            Ok(DownloadEnd::NotAccepted)
        }
        DownloadOutcome::Ok | DownloadOutcome::Incomplete => Err(WireError::Unexpected(Done::TYPE).into()),
        DownloadOutcome::Disk | DownloadOutcome::Corrupt | DownloadOutcome::Failed => {
            Err(DownloadError::reported(done))
        }
    }
}

fn too_many_sessions() -> DownloadError {
    let e = Error::new(Kind::Refused, "the sender already serves the maximum number of receivers");
    DownloadError::Local(FailureReason::DownloadLimitReached, e)
}
