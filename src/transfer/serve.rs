//! The sender's end of one download.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::debug;

use super::{
    carrier::Carrier,
    credit::Gate,
    failure::{cut, told},
    feed::{self, Feeder},
    handshake::{Doors, Established, NoSession, Returning, answer as answer_hello, first_frame, refuse, turn_away},
    ledger::{Begun, Ledger},
    outline::Outline,
    session::{Incoming, Outgoing, Record, SessionError},
    share::Share,
};
use crate::{
    crypto::Opener,
    disk::Source,
    error::{Error, Kind},
    event::{Download, Event, Route},
    net::{LineError, RecvHalf, SendHalf, transport::OwnedFrame},
    processor::Aes,
    text::visible,
    wire::{
        Frame, Message, WireError,
        peer::{
            Ack, AlertReason, Attach, Checking, Credit, Done, DoneAck, Failure, FailureReason, Have, Hello, Mode,
            Outcome, Request, Welcome,
        },
        relay::Incoming as FromRelay,
    },
};

/// The relay announces a receiver on a stream at once.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(10);

/// A person at the other end has this long to accept, and what looks at what is there already must say so as often.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The look at what is there already may take this long.
const CHECKED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A receiver that has granted credit hears something within this time, though there be nothing to send yet; it gives a
/// sender up that says nothing for three times as long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// How long the last record may take to be acknowledged.
const GOODBYE: Duration = Duration::from_secs(5);

/// A receiver that grants nothing for so long, or has everything and does not say so, is given up: it has a place that
/// others may want. Its disk may hang for a while, and a question may wait for an answer.
const STUCK: Duration = Duration::from_secs(10 * 60);

/// A receiver takes itself for accepted as soon as the sender has proved itself. Where the share ends just then, the
/// receiver's own proof may arrive this much later: who gives it is told of the end.
const LATE_PROOF: Duration = Duration::from_secs(1);

/// Answers a stream that the relay opened: handshake, manifest, content, end. Whatever goes wrong stays in here.
pub(super) async fn serve(share: Arc<Share>, number: u64, (send, mut recv): (SendHalf, RecvHalf)) {
    match timeout(ANNOUNCE_WITHIN, recv.read_frame(0)).await {
        Ok(Ok(frame)) if frame.frame().decode::<FromRelay>().is_ok() => {}
        _ => return,
    }
    let first = tokio::select! {
        first = first_frame(&mut recv) => first,
        () = share.closing() => return,
    };
    let first = match first {
        Ok(first) => first,
        Err(Some(alert)) => {
            refuse(send, alert, 0).await;
            return;
        }
        Err(None) => return,
    };
    if first.frame().kind == Attach::TYPE {
        return attach(&share, &first, (send, recv)).await;
    }
    let Some(_permit) = share.permit().await else { return turn_away(send).await };
    let (code, key) = share.code();
    let id = share.id();
    let receiver = match first.frame().decode() {
        Ok(Hello { mode: Mode::Resume(receiver), .. }) => key.resumption(id.as_bytes(), receiver),
        _ => key.welcome(id.as_bytes()),
    };
    let offer = share.source().await.map(|source| (Outline::new(Arc::clone(source.manifest())), source));
    let (early, offer) = match offer {
        Ok((mut outline, source)) => {
            let welcome = Welcome { id: receiver.id, key: *receiver.key };
            (outline.first(&welcome).unwrap_or_default(), Ok((outline, source)))
        }
        Err(e) => (Record::new(), Err(e)),
    };
    debug!("receiver {number} says hello");
    let returning = Returning { resumption: &receiver, unproved: share.unproved() };
    let doors = Doors { code: &code, budget: share.budget(), returning: Some(returning) };
    let outcome = tokio::select! {
        outcome = answer_hello(Aes::here(), &doors, early, &first, (send, recv)) => outcome,
        () = async { share.closing().await; sleep(LATE_PROOF).await } => return,
    };
    match outcome {
        Ok(session) => {
            let serving = Serving::new(share, number, session.carrier.clone());
            serving.run(session, receiver.id, offer).await;
        }
        Err(NoSession::Unproved) => {
            let guesses_left = share.budget().left();
            share.events().report(Event::WrongCode { download: number, peer: label(number), guesses_left }).await;
            share.check_retired();
        }
        Err(NoSession::Retired) => share.check_retired(),
        Err(NoSession::Disk(e)) => {
            let message = format!("a receiver was turned away: {e}");
            let hint = e.next_step().map(str::to_owned);
            share.events().report(Event::Warning { kind: "state", message, hint }).await;
        }
        Err(NoSession::Broken) => {}
    }
}

/// Goes on with an older session over this stream.
async fn attach(share: &Share, first: &OwnedFrame, stream: (SendHalf, RecvHalf)) {
    let refused = match first.frame().decode() {
        Ok(question) => share.sessions().attach(&question, stream).await,
        Err(_) => Err(stream.0),
    };
    if let Err(send) = refused {
        refuse(send, AlertReason::NoSession, 0).await;
    }
}

fn label(number: u64) -> String {
    format!("receiver {number}")
}

/// A download as it is reported.
fn download(number: u64, bytes: u64, total: Option<u64>) -> Download {
    Download { download: number, peer: label(number), path: Route::Relay, bytes, total }
}

/// How a download ended that is over.
enum Ended {
    /// The receiver has everything.
    Done,
    /// The receiver only looked, or its user said no.
    NotWanted,
}

/// What went wrong at this end or was told by the other; the other end is told the first kind.
enum Trouble {
    Here(FailureReason, Error),
    There(Error),
}

impl From<SessionError> for Trouble {
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

impl From<LineError> for Trouble {
    fn from(e: LineError) -> Self {
        SessionError::Line(e).into()
    }
}

impl From<WireError> for Trouble {
    fn from(e: WireError) -> Self {
        SessionError::Protocol(e).into()
    }
}

/// What the receiver said, apart from credit.
enum Said {
    Checking,
    Have(Have),
    Request(Request),
    Done(Done),
}

/// One download being served.
struct Serving {
    share: Arc<Share>,
    number: u64,
    carrier: Carrier,
    gate: Gate,
    ledger: Mutex<Ledger>,
}

impl Serving {
    fn new(share: Arc<Share>, number: u64, carrier: Carrier) -> Self {
        Self { share, number, carrier, gate: Gate::new(), ledger: Mutex::default() }
    }

    /// Serves what the first part of the outline has announced.
    async fn run(self, session: Established, receiver: [u8; 16], offer: Result<(Outline, Arc<Source>), Error>) {
        let entered = self.share.sessions().enter(&session, receiver);
        let Established { mut out, mut incoming, mut opener, resumed, .. } = session;
        self.ledger().sealed = out.sealed(); // of which the receiver may tell before anything more is sent
        let ended = match offer {
            Ok((outline, source)) => {
                let (said_tx, mut said) = mpsc::channel(4);
                tokio::select! {
                    biased; // a lost line ends the share too, and is the better reason
                    trouble = self.listen(&mut incoming, &mut opener, said_tx) => Err(trouble),
                    ended = self.speak(&mut out, &mut said, outline, source, resumed.is_some()) => ended,
                    why = entered.abandoned(|why| self.report_waiting(why)) => Err(why.into()),
                    why = self.unreachable() => Err(why.into()),
                    () = self.must_end() => Err(Trouble::Here(
                        FailureReason::Ended,
                        Error::new(Kind::Interrupted, "the share was ended"),
                    )),
                }
            }
            Err(e) => Err(Trouble::Here(FailureReason::Source, e)),
        };
        let last = match &ended {
            Ok(_) => Record::of(&DoneAck {}),
            Err(Trouble::Here(..)) if self.carrier.is_broken() => Err(WireError::Malformed),
            Err(Trouble::Here(reason, e)) => Record::of(&Failure { reason: *reason, message: told(e) }),
            Err(Trouble::There(_)) => Err(WireError::Malformed), // nobody is there to be told
        };
        let result = match ended {
            Ok(Ended::Done) => Some(Ok(())),
            Ok(Ended::NotWanted) => None,
            Err(Trouble::Here(_, e) | Trouble::There(e)) => Some(Err(e)),
        };
        // Before the goodbye: a share that is stopped when its receiver has ended well has no download running.
        self.settle(result).await;
        if let Ok(last) = last {
            let goodbye = async {
                if let Ok(mut half) = out.send_last(last).await {
                    half.delivered().await;
                }
            };
            let _ = timeout(GOODBYE, goodbye).await;
        }
    }

    /// Completes when the line of this receiver dies after the share has given its slot back: nobody can bring another.
    async fn unreachable(&self) -> LineError {
        self.share.closing().await;
        let why = self.carrier.broken().await;
        if self.carrier.is_over() { std::future::pending().await } else { why } // or who reads has the reason
    }

    /// Completes when the share ends for this receiver: for one that has not accepted, sooner.
    async fn must_end(&self) {
        self.share.closing().await;
        if self.ledger().begun.is_some() {
            self.share.ending().await;
        }
    }

    /// Books the place and reports how the download ended, where it had begun.
    async fn settle(self, result: Option<Result<(), Error>>) {
        let ledger = self.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
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
    async fn listen(&self, incoming: &mut Incoming, opener: &mut Opener, said: mpsc::Sender<Said>) -> Trouble {
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

    fn hear(&self, frame: &Frame<'_>) -> Result<Option<Said>, WireError> {
        match frame.kind {
            Credit::TYPE => {
                let credit: Credit = frame.decode()?;
                let mut ledger = self.ledger();
                self.gate.grant(credit.clone(), ledger.sealed).map_err(|_| WireError::Malformed)?;
                self.carrier.acknowledge(credit.received)?;
                if ledger.acknowledge(credit.received) {
                    self.report_progress(&ledger);
                }
                Ok(None)
            }
            Checking::TYPE => frame.decode().map(|Checking {}| Some(Said::Checking)),
            Have::TYPE => frame.decode().map(|have| Some(Said::Have(have))),
            Request::TYPE => frame.decode().map(|request| Some(Said::Request(request))),
            Done::TYPE => frame.decode().map(|done| Some(Said::Done(done))),
            _ if frame.may_be_skipped() => Ok(None),
            other => Err(WireError::Unexpected(other)),
        }
    }

    fn report_waiting(&self, why: &LineError) {
        let ledger = self.ledger();
        if let Some(begun) = &ledger.begun {
            let download = download(self.number, ledger.acknowledged, begun.total);
            let reason = cut(why).message().to_owned();
            self.share.events().mention(Event::DownloadWaiting { download, reason });
        }
    }

    fn report_progress(&self, ledger: &Ledger) {
        if let Some(begun) = &ledger.begun {
            let download = download(self.number, ledger.acknowledged, begun.total);
            self.share.events().mention(Event::DownloadProgress(download));
        }
    }

    async fn speak(
        &self,
        out: &mut Outgoing,
        said: &mut mpsc::Receiver<Said>,
        outline: Outline,
        source: Arc<Source>,
        has_come_back: bool,
    ) -> Result<Ended, Trouble> {
        // The answer to a short manifest may be here already: only what comes before the last part is out is early.
        let offered = tokio::select! {
            biased;
            offered = self.offer(out, outline) => Ok(offered?),
            early = said.recv() => Err(early),
        };
        let answer = match offered {
            Err(Some(Said::Request(_) | Said::Have(_) | Said::Checking)) => {
                return Err(WireError::Unexpected(Request::TYPE).into());
            }
            Err(Some(Said::Done(done))) => return not_wanted(&done),
            Err(None) => std::future::pending().await, // the listener has the reason
            Ok(()) => out.meanwhile(answer(said, &source)).await?,
        };
        let wanted = match answer {
            Answer::Wants(wanted) => wanted,
            Answer::Not(done) => return not_wanted(&done),
        };
        self.begin(wanted.bytes(), has_come_back).await?;
        let done = tokio::select! {
            early = said.recv() => early,
            fed = self.feed(out, source, wanted) => {
                fed?;
                let said = out.meanwhile(timeout(STUCK, said.recv())).await;
                said.map_err(|_| stuck("the receiver never said that it has everything"))?
            }
        };
        match done {
            Some(Said::Done(Done { outcome: Outcome::Ok, .. })) => Ok(Ended::Done),
            Some(Said::Done(done)) => Err(Trouble::There(done_error(&done))),
            Some(Said::Request(_) | Said::Have(_) | Said::Checking) => Err(WireError::Unexpected(Request::TYPE).into()),
            None => std::future::pending().await, // the listener has the reason
        }
    }

    /// Sends what did not fit into flight 2.
    async fn offer(&self, out: &mut Outgoing, mut outline: Outline) -> Result<(), Trouble> {
        while let Some(record) = outline.next_record()? {
            self.send(out, record, 0).await?;
        }
        Ok(())
    }

    /// Sends the files.
    async fn feed(&self, out: &mut Outgoing, source: Arc<Source>, wanted: feed::Wanted) -> Result<(), Trouble> {
        let (_feeder, mut records) = Feeder::start(source, wanted, self.share.buffers());
        loop {
            // Between two records may be a long look at what the receiver has already.
            match out.meanwhile(timeout(SIGN_OF_LIFE, records.recv())).await {
                Ok(Some(fed)) => {
                    let (record, content) = fed.map_err(|e| {
                        self.share.has_changed();
                        Trouble::Here(FailureReason::Source, e)
                    })?;
                    self.send(out, record, content).await?;
                }
                Ok(None) => return Ok(()),
                Err(_) => self.acknowledge(out).await?,
            }
        }
    }

    /// Takes a place and reports the beginning.
    async fn begin(&self, total: Option<u64>, has_come_back: bool) -> Result<(), Trouble> {
        let Some(place) = self.share.take_place(has_come_back).await else {
            let e = Error::new(Kind::Refused, "all downloads that this share allows are taken");
            return Err(Trouble::Here(FailureReason::NoPlace, e));
        };
        self.ledger().begun = Some(Begun { at: Instant::now(), total, place });
        self.share.events().report(Event::DownloadStarted(download(self.number, 0, total))).await;
        Ok(())
    }

    /// Sends a record with so many bytes of content, once there is credit for it.
    async fn send(&self, out: &mut Outgoing, record: Record, content: u64) -> Result<(), Trouble> {
        /// So much of what the receiver says, it keeps until it hears of it.
        const UNHEARD: u64 = 16 * 1024;
        if self.carrier.received() >= self.ledger().told + UNHEARD {
            self.acknowledge(out).await?;
        }
        self.send_one(out, record, content).await
    }

    /// Says how far what the receiver says has come.
    async fn acknowledge(&self, out: &mut Outgoing) -> Result<(), Trouble> {
        let received = self.carrier.received();
        self.ledger().told = received;
        self.send_one(out, Record::of(&Ack { received })?, 0).await
    }

    async fn send_one(&self, out: &mut Outgoing, record: Record, content: u64) -> Result<(), Trouble> {
        let end = out.sealed() + record.sealed_length();
        let credit = out.meanwhile(timeout(STUCK, self.gate.open_to(end))).await;
        credit.map_err(|_| stuck("the receiver takes nothing any more"))?;
        self.ledger().note(end, content);
        Ok(out.send(record).await?)
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a receiver makes of an offer.
enum Answer {
    Wants(feed::Wanted),
    Not(Done),
}

/// Waits for flight 4. A session that fails before is noticed by who listens.
async fn answer(said: &mut mpsc::Receiver<Said>, source: &Source) -> Result<Answer, Trouble> {
    let mut having = feed::Having::default();
    let never = || Trouble::Here(FailureReason::Waited, Error::new(Kind::Refused, "the receiver never accepted"));
    let latest = Instant::now() + CHECKED_WITHIN;
    loop {
        let next = timeout_at(latest.min(Instant::now() + ACCEPT_WITHIN), said.recv());
        match next.await.map_err(|_| never())? {
            Some(Said::Checking) => {}
            Some(Said::Have(have)) => having.add(source, have)?,
            Some(Said::Request(request)) => return Ok(Answer::Wants(feed::Wanted::new(source, &request, having)?)),
            Some(Said::Done(done)) => return Ok(Answer::Not(done)),
            None => std::future::pending().await,
        }
    }
}

fn stuck(how: &str) -> Trouble {
    Trouble::Here(FailureReason::Waited, Error::new(Kind::Network, how))
}

fn not_wanted(done: &Done) -> Result<Ended, Trouble> {
    match done.outcome {
        Outcome::Listed | Outcome::Declined | Outcome::Interrupted => Ok(Ended::NotWanted),
        Outcome::Ok => Err(WireError::Unexpected(Done::TYPE).into()),
        Outcome::Disk | Outcome::Corrupt | Outcome::Failed => Err(Trouble::There(done_error(done))),
    }
}

fn done_error(done: &Done) -> Error {
    let (kind, what) = match done.outcome {
        Outcome::Disk => (Kind::Disk, "the receiver could not write"),
        Outcome::Corrupt => (Kind::Corrupt, "what arrived did not match its hash"),
        Outcome::Interrupted | Outcome::Declined => (Kind::Refused, "the receiver stopped"),
        Outcome::Ok | Outcome::Listed | Outcome::Failed => (Kind::Transfer, "the receiver failed"),
    };
    if done.message.is_empty() {
        Error::new(kind, what)
    } else {
        Error::new(kind, format!("{what}: {}", visible(&done.message)))
    }
}

#[cfg(test)]
mod tests;
