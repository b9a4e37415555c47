//! The sender's end of one download.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use crate::transfer::handshake::Established;
use crate::transfer::sender::file_reader::{self, FileReader};
use crate::transfer::sender::progress::{AcceptedDownload, SendProgress};
use crate::transfer::sender::session_table::SessionEntry;
use crate::transfer::sender::share::Share;
use crate::transfer::session::credit::SendCredit;
use crate::transfer::session::manifest_codec::ManifestEncoder;
use crate::transfer::session::resumable_stream::ResumableStream;
use crate::transfer::session::{RecordBuilder, SessionError, SessionReader, SessionWriter};
use crate::transfer::user_errors::{cut, told};
use crate::{
    crypto::Opener,
    disk::Source,
    error::{Error, Kind},
    event::{DownloadStatus, Event, Route},
    net::StreamError,
    sync::Mutex,
    text::visible,
    wire::{
        Frame, Message, WireError,
        peer::{
            Ack, Credit, Done, DoneAck, DownloadOutcome, Failure, FailureReason, FileRequest, HashingStaged,
            StagedGroups,
        },
        reset_code::{CANCELLED, ENDED, PEER_CLOSED},
    },
};

/// A person at the other end has this long to accept, and what looks at what is there already must say so as often.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The look at what is there already may take this long.
const CHECKED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A receiver that has granted credit hears something within this time, though there be nothing to send yet; it gives a
/// sender up that says nothing for three times as long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// How long the last record may take to arrive behind what is on its way.
const LAST_RECORD_WITHIN: Duration = Duration::from_secs(60);

/// The same where the share ends: then what is on its way is given up.
const LAST_RECORD_AT_SHARE_END: Duration = Duration::from_millis(1_500);

/// A download that may finish after the share has ended waits this long for its line.
const LAST_CHANCE: Duration = Duration::from_secs(60);

/// A receiver that grants nothing for so long, or has everything and does not say so, is given up: it has a place that
/// others may want. Its disk may hang for a while, and a question may wait for an answer.
pub(crate) const STUCK: Duration = Duration::from_secs(10 * 60);

/// The name of a receiver, for people.
pub(crate) fn label(number: u64) -> String {
    format!("receiver {number}")
}

/// A download as it is reported.
fn download(number: u64, bytes: u64, total: Option<u64>) -> DownloadStatus {
    DownloadStatus { download: number, peer: label(number), path: Route::Relay, bytes, total }
}

/// How a download ended that is over.
enum DownloadEnd {
    /// The receiver has everything.
    Done,
    /// The receiver only looked, or its user said no.
    NotWanted,
}

/// What went wrong at this end or was told by the other; the other end is told the first kind.
enum DownloadError {
    Here(FailureReason, Error),
    There(Error),
}

impl From<SessionError> for DownloadError {
    fn from(e: SessionError) -> Self {
        match e {
            SessionError::Line(e) => Self::There(cut(&e)),
            SessionError::Tampered(_) => {
                Self::There(Error::new(Kind::WrongCode, "something tampered with the session"))
            }
            SessionError::Protocol(e) => Self::Here(
                FailureReason::Protocol,
                Error::new(Kind::Transfer, format!("the receiver broke the protocol: {e}")),
            ),
        }
    }
}

impl From<StreamError> for DownloadError {
    fn from(e: StreamError) -> Self {
        SessionError::Line(e).into()
    }
}

impl From<WireError> for DownloadError {
    fn from(e: WireError) -> Self {
        SessionError::Protocol(e).into()
    }
}

/// What the receiver said, apart from credit.
enum ReceiverMessage {
    Checking,
    Have(StagedGroups),
    Request(FileRequest),
    Done(Done),
}

/// One download being served.
pub(crate) struct Download {
    share: Arc<Share>,
    number: u64,
    carrier: ResumableStream,
    gate: SendCredit,
    ledger: Mutex<SendProgress>,
}

impl Download {
    /// That of receiver `number`, over this.
    pub(crate) fn new(share: Arc<Share>, number: u64, carrier: ResumableStream) -> Self {
        Self { share, number, carrier, gate: SendCredit::new(), ledger: Mutex::default() }
    }

    /// Serves what the first part of the outline has announced.
    pub(crate) async fn run(
        self,
        session: Established,
        receiver: [u8; 16],
        offer: Result<(ManifestEncoder, Arc<Source>), Error>,
    ) {
        let entered = self.share.sessions().enter(&session, receiver);
        let Established { mut out, mut incoming, mut opener, resumed, .. } = session;
        self.carrier.count_in(self.share.kept());
        self.ledger().sealed = out.sealed(); // of which the receiver may tell before anything more is sent
        let permit = self.share.permit(resumed.is_some()).await;
        let ended = match offer {
            _ if permit.is_none() => {
                let e = Error::new(Kind::Refused, "as many receivers as can be served are there");
                Err(DownloadError::Here(FailureReason::DownloadLimitReached, e))
            }
            Ok((outline, source)) => {
                let (said_tx, mut said) = mpsc::channel(4);
                tokio::select! {
                    biased; // a lost line ends the share too, and is the better reason
                    trouble = self.listen(&mut incoming, &mut opener, said_tx) => Err(trouble),
                    ended = self.speak(&mut out, &mut said, outline, source, (&entered, resumed.is_some())) => ended,
                    why = entered.abandoned(|why| self.report_waiting(why), |why| self.report_back(why)) => Err(why.into()),
                    why = self.unreachable() => Err(why.into()),
                    () = self.must_end(resumed.is_some()) => Err(DownloadError::Here(
                        FailureReason::ShareEnded,
                        Error::new(Kind::Interrupted, "the share was ended"),
                    )),
                }
            }
            Err(e) => Err(DownloadError::Here(FailureReason::Source, e)),
        };
        let last = match &ended {
            Ok(_) => RecordBuilder::of(&DoneAck {}).ok(),
            Err(DownloadError::Here(..)) if self.carrier.is_broken() => None,
            Err(DownloadError::Here(reason, e)) => {
                RecordBuilder::of(&Failure { reason: *reason, message: told(e) }).ok()
            }
            Err(DownloadError::There(_)) => None, // nobody is there to be told
        };
        let wants_reason = ended.is_err();
        let share_ends = matches!(&ended, Err(DownloadError::Here(FailureReason::ShareEnded, _)));
        let result = match ended {
            Ok(DownloadEnd::Done) => Some(Ok(())),
            Ok(DownloadEnd::NotWanted) => None,
            Err(DownloadError::Here(_, e) | DownloadError::There(e)) => Some(Err(e)),
        };
        // Before the goodbye: a share that is stopped when its receiver has ended well has no download running.
        let carrier = self.carrier.clone();
        self.settle(result).await;
        if let Some(Ok(mut leaving)) = last.map(|last| out.end(last)) {
            // Who has failed hears of that when it comes to the end of what is on its way, and ends its own direction; an end
            // of that before would take the line away from it.
            let goodbye = async {
                let hearing = async { while let Ok(Some(_)) = incoming.opened(&mut opener).await {} };
                leaving.meanwhile(hearing).await;
                leaving.delivered().await;
            };
            let patience = if share_ends { LAST_RECORD_AT_SHARE_END } else { LAST_RECORD_WITHIN };
            let said = tokio::select! {
                said = timeout(patience, goodbye) => said.is_ok(),
                () = has_left(&carrier, wants_reason) => true,
            };
            if !said {
                leaving.abandon(if share_ends { ENDED } else { CANCELLED });
            }
        }
    }

    /// Completes when the line of this receiver is dead for too long for a share that is to end.
    async fn unreachable(&self) -> StreamError {
        self.share.closing().await;
        loop {
            let why = self.carrier.broken().await;
            if self.carrier.is_over() {
                return std::future::pending().await; // who reads has the reason
            }
            if timeout(LAST_CHANCE, self.carrier.mended()).await.is_err() {
                return why;
            }
        }
    }

    /// Completes when the share ends for this receiver: for one that has not accepted, sooner.
    async fn must_end(&self, has_come_back: bool) {
        self.share.closing().await;
        if has_come_back || self.ledger().begun.is_some() {
            self.share.ending().await;
        }
    }

    /// Books the place and reports how the download ended, where it had begun.
    async fn settle(self, result: Option<Result<(), Error>>) {
        let ledger = self.ledger.into_inner();
        let Some(begun) = ledger.begun else { return };
        let bytes = if matches!(result, Some(Ok(()))) { ledger.sent } else { ledger.acknowledged };
        let download = download(self.number, bytes, begun.total);
        let event = match result {
            Some(Ok(())) => Event::DownloadFinished { download, seconds: begun.at.elapsed().as_secs_f64() },
            Some(Err(e)) => Event::DownloadFailed { download, error: e.message().to_owned(), kind: e.kind() },
            None => {
                let error = "the receiver changed its mind".to_owned();
                Event::DownloadFailed { download, error, kind: Kind::Refused }
            }
        };
        let finished = matches!(event, Event::DownloadFinished { .. });
        self.share.events().report(event).await;
        begun.place.release(finished);
    }

    /// Takes what the receiver says until the session fails. Its end is noticed by who speaks.
    async fn listen(
        &self,
        incoming: &mut SessionReader,
        opener: &mut Opener,
        said: mpsc::Sender<ReceiverMessage>,
    ) -> DownloadError {
        loop {
            let record = match incoming.opened(opener).await {
                Ok(Some(record)) => record,
                Ok(None) => std::future::pending().await,
                Err(e) => return e.into(),
            };
            let mut rest = &record[..];
            while !rest.is_empty() {
                let heard = Frame::split(&mut rest).and_then(|frame| self.hear(&frame));
                match heard {
                    Ok(Some(what)) => {
                        let _ = said.send(what).await; // the speaker lives as long as this
                    }
                    Ok(None) => {}
                    Err(e) => return e.into(),
                }
            }
        }
    }

    fn hear(&self, frame: &Frame<'_>) -> Result<Option<ReceiverMessage>, WireError> {
        match frame.kind {
            Credit::TYPE => {
                let credit: Credit = frame.decode()?;
                let mut ledger = self.ledger();
                self.gate.grant(credit.clone(), ledger.sealed).map_err(|_| WireError::Malformed)?;
                self.carrier.acknowledge(credit.received)?;
                if ledger.acknowledge(credit.received) {
                    self.mention(&ledger, Event::DownloadProgress);
                }
                Ok(None)
            }
            HashingStaged::TYPE => frame.decode().map(|HashingStaged {}| Some(ReceiverMessage::Checking)),
            StagedGroups::TYPE => frame.decode().map(|have| Some(ReceiverMessage::Have(have))),
            FileRequest::TYPE => frame.decode().map(|request| Some(ReceiverMessage::Request(request))),
            Done::TYPE => frame.decode().map(|done| Some(ReceiverMessage::Done(done))),
            _ if frame.may_be_skipped() => Ok(None),
            other => Err(WireError::Unexpected(other)),
        }
    }

    fn report_waiting(&self, why: &StreamError) {
        if !is_the_shares_own(why) {
            let reason = cut(why).message().to_owned();
            self.mention(&self.ledger(), |download| Event::DownloadWaiting { download, reason });
        }
    }

    fn report_back(&self, why: &StreamError) {
        if !is_the_shares_own(why) {
            self.mention(&self.ledger(), Event::DownloadResumed);
        }
    }

    /// Reports something of this download, once it has begun.
    fn mention(&self, ledger: &SendProgress, event: impl FnOnce(DownloadStatus) -> Event) {
        if let Some(begun) = &ledger.begun {
            let download = download(self.number, ledger.acknowledged, begun.total);
            self.share.events().mention(event(download));
        }
    }

    async fn speak(
        &self,
        out: &mut SessionWriter,
        said: &mut mpsc::Receiver<ReceiverMessage>,
        outline: ManifestEncoder,
        source: Arc<Source>,
        (entered, has_come_back): (&SessionEntry, bool),
    ) -> Result<DownloadEnd, DownloadError> {
        // The answer to a short manifest may be here already: only what comes before the last part is out is early.
        let offered = tokio::select! {
            biased;
            offered = self.offer(out, outline) => Ok(offered?),
            early = said.recv() => Err(early),
        };
        let answer = match offered {
            Err(Some(ReceiverMessage::Request(_) | ReceiverMessage::Have(_) | ReceiverMessage::Checking)) => {
                return Err(WireError::Unexpected(FileRequest::TYPE).into());
            }
            Err(Some(ReceiverMessage::Done(done))) => return not_wanted(&done),
            Err(None) => std::future::pending().await, // the listener has the reason
            Ok(()) => out.meanwhile(answer(said, &source)).await?,
        };
        let wanted = match answer {
            OfferReply::Wants(wanted) => wanted,
            OfferReply::Not(done) => return not_wanted(&done),
        };
        self.begin(&wanted, has_come_back).await?;
        entered.has_place();
        let done = tokio::select! {
            early = said.recv() => early,
            fed = self.feed(out, source, wanted) => {
                fed?;
                let said = out.meanwhile(timeout(STUCK, said.recv())).await;
                said.map_err(|_| stuck("the receiver never said that it has everything"))?
            }
        };
        match done {
            Some(ReceiverMessage::Done(Done { outcome: DownloadOutcome::Ok, .. })) => Ok(DownloadEnd::Done),
            Some(ReceiverMessage::Done(done)) => Err(DownloadError::There(done_error(&done))),
            Some(ReceiverMessage::Request(_) | ReceiverMessage::Have(_) | ReceiverMessage::Checking) => {
                Err(WireError::Unexpected(FileRequest::TYPE).into())
            }
            None => std::future::pending().await, // the listener has the reason
        }
    }

    /// Sends what did not fit into flight 2.
    async fn offer(&self, out: &mut SessionWriter, mut outline: ManifestEncoder) -> Result<(), DownloadError> {
        while let Some(record) = outline.next_record()? {
            self.send(out, record, 0).await?;
        }
        Ok(())
    }

    /// Sends the files.
    async fn feed(
        &self,
        out: &mut SessionWriter,
        source: Arc<Source>,
        wanted: file_reader::RequestedFiles,
    ) -> Result<(), DownloadError> {
        let (_feeder, mut records) = FileReader::start(source, wanted, self.share.buffers());
        loop {
            // Between two records may be a long look at what the receiver has already.
            match out.meanwhile(timeout(SIGN_OF_LIFE, records.recv())).await {
                Ok(Some(fed)) => {
                    let (record, content) = match fed {
                        Ok(fed) => fed,
                        Err(e) => {
                            self.share.has_changed().await;
                            return Err(DownloadError::Here(FailureReason::Source, e));
                        }
                    };
                    self.send(out, record, content).await?;
                }
                Ok(None) => return Ok(()),
                Err(_) => self.acknowledge(out).await?,
            }
        }
    }

    /// Takes a place and reports the beginning.
    async fn begin(&self, wanted: &file_reader::RequestedFiles, has_come_back: bool) -> Result<(), DownloadError> {
        let Some(place) = self.share.take_place(has_come_back).await else {
            let e = Error::new(Kind::Refused, "all downloads that this share allows are taken");
            return Err(DownloadError::Here(FailureReason::DownloadLimitReached, e));
        };
        let (total, there) = (wanted.bytes(), wanted.there());
        {
            let mut ledger = self.ledger();
            ledger.begun = Some(AcceptedDownload { at: Instant::now(), total, place });
            ledger.acknowledged = there; // until it turns out to be less
        }
        self.share.events().report(Event::DownloadStarted(download(self.number, there, total))).await;
        Ok(())
    }

    /// Sends a record with so many bytes of content, once there is credit for it.
    async fn send(&self, out: &mut SessionWriter, record: RecordBuilder, content: u64) -> Result<(), DownloadError> {
        /// So much of what the receiver says, it keeps until it hears of it.
        const UNHEARD: u64 = 16 * 1024;
        if self.carrier.received() >= self.ledger().told + UNHEARD {
            self.acknowledge(out).await?;
        }
        self.send_one(out, record, content).await
    }

    /// Says how far what the receiver says has come.
    async fn acknowledge(&self, out: &mut SessionWriter) -> Result<(), DownloadError> {
        let received = self.carrier.received();
        self.ledger().told = received;
        self.send_one(out, RecordBuilder::of(&Ack { received })?, 0).await
    }

    async fn send_one(
        &self,
        out: &mut SessionWriter,
        record: RecordBuilder,
        content: u64,
    ) -> Result<(), DownloadError> {
        let end = out.sealed() + record.sealed_length();
        let credit =
            out.meanwhile(timeout(STUCK, self.gate.open_to(end, || self.share.kept().load(Ordering::Relaxed)))).await;
        credit.map_err(|_| stuck("the receiver takes nothing any more"))?;
        self.ledger().note(end, content);
        Ok(out.send(record).await?)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, SendProgress> {
        self.ledger.lock()
    }
}

/// Whether it is the share's own line that has died: that is told once, for all downloads.
fn is_the_shares_own(why: &StreamError) -> bool {
    matches!(why, StreamError::Lost(_))
}

/// Completes when the receiver has left of its own will. One that is to hear a reason may merely make another connection.
async fn has_left(carrier: &ResumableStream, wants_reason: bool) {
    const MAY_COME_BACK: Duration = Duration::from_secs(5);
    loop {
        if matches!(carrier.broken().await, StreamError::Aborted(PEER_CLOSED | CANCELLED)) {
            let grace = if wants_reason { MAY_COME_BACK } else { Duration::ZERO };
            if timeout(grace, carrier.mended()).await.is_err() {
                return;
            }
        }
        carrier.mended().await;
    }
}

/// What a receiver makes of an offer.
enum OfferReply {
    Wants(file_reader::RequestedFiles),
    Not(Done),
}

/// Waits for flight 4. A session that fails before is noticed by who listens.
async fn answer(said: &mut mpsc::Receiver<ReceiverMessage>, source: &Source) -> Result<OfferReply, DownloadError> {
    let mut having = file_reader::StagedHashes::default();
    let never = || {
        DownloadError::Here(FailureReason::ReceiverTimeout, Error::new(Kind::Refused, "the receiver never accepted"))
    };
    let latest = Instant::now() + CHECKED_WITHIN;
    loop {
        let next = timeout_at(latest.min(Instant::now() + ACCEPT_WITHIN), said.recv());
        match next.await.map_err(|_| never())? {
            Some(ReceiverMessage::Checking) => {}
            Some(ReceiverMessage::Have(have)) => having.add(source, have)?,
            Some(ReceiverMessage::Request(request)) => {
                return Ok(OfferReply::Wants(file_reader::RequestedFiles::new(source, &request, having)?));
            }
            Some(ReceiverMessage::Done(done)) => return Ok(OfferReply::Not(done)),
            None => std::future::pending().await,
        }
    }
}

fn stuck(how: &str) -> DownloadError {
    DownloadError::Here(FailureReason::ReceiverTimeout, Error::new(Kind::Network, how))
}

fn not_wanted(done: &Done) -> Result<DownloadEnd, DownloadError> {
    match done.outcome {
        DownloadOutcome::Listed | DownloadOutcome::Declined | DownloadOutcome::Interrupted => {
            Ok(DownloadEnd::NotWanted)
        }
        DownloadOutcome::Ok => Err(WireError::Unexpected(Done::TYPE).into()),
        DownloadOutcome::Disk | DownloadOutcome::Corrupt | DownloadOutcome::Failed => {
            Err(DownloadError::There(done_error(done)))
        }
    }
}

fn done_error(done: &Done) -> Error {
    let (kind, what) = match done.outcome {
        DownloadOutcome::Disk => (Kind::Disk, "the receiver could not write"),
        DownloadOutcome::Corrupt => (Kind::Corrupt, "what arrived did not match its hash"),
        DownloadOutcome::Interrupted | DownloadOutcome::Declined => (Kind::Refused, "the receiver stopped"),
        DownloadOutcome::Ok | DownloadOutcome::Listed | DownloadOutcome::Failed => {
            (Kind::Transfer, "the receiver failed")
        }
    };
    // Of who stopped, the message is what its own user reads.
    if done.message.is_empty() || done.outcome == DownloadOutcome::Interrupted {
        Error::new(kind, what)
    } else {
        Error::new(kind, format!("{what}: {}", visible(&done.message)))
    }
}
