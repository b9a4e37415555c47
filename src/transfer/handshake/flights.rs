//! The first three flights: from a stream to a session that both ends have proved.
//!
//! The receiver speaks first ([`Initiator`]); the sender answers ([`respond`]) once its budget has given a guess. What
//! arrives before the tags may have been written by anybody in between: an [`Alert`] is a hint, and whatever does not
//! parse is treated like a tag that does not fit.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use crate::transfer::handshake::cipher_suite;
use crate::transfer::handshake::guess_budget::{Attempt, AttemptRefused, CONFIRM_WITHIN, GuessBudget, WAIT};
use crate::transfer::session::resumable_stream::ResumableStream;
use crate::transfer::session::{RecordBuilder, SessionReader, SessionWriter};
use crate::transfer::timeouts::REPLY;
use crate::transfer::user_errors::{
    explain_alert, explain_early_stream_error, explain_stream_error, sender_silent, version_mismatch, wrong_code,
};
use crate::{
    code::{Code, Slot},
    crypto::{self, AttachKey, Cipher, Opener, PakeExchange, Password, Resumption, Role, SessionKeys, Transcript},
    error::{Error, Result},
    net::{OwnedFrame, RecvHalf, SendHalf, StreamError},
    processor::Aes,
    wire::{
        WireError, frame,
        peer::{
            Alert, AlertReason, CAN_REATTACH, Confirm, Hello, HelloMode, HelloReply, MAX_CLEAR_BODY, PakeMessage,
            SUITES, VERSION,
        },
    },
};

/// How long the receiver waits for flight 2: the sender may let it wait for 30 s while others confirm their guesses.
const FLIGHT_2_WITHIN: Duration = Duration::from_secs(45);

/// The body of a [`Confirm`]: a longer one would swallow the beginning of the records behind it.
const CONFIRM: u32 = crypto::TAG_LENGTH as u32;

/// A session that both ends have proved.
pub struct Established {
    /// What goes to the other end.
    pub out: SessionWriter,
    /// What comes from the other end.
    pub incoming: SessionReader,
    /// Opens what comes.
    pub opener: Opener,
    /// The stream that both go over, and the ones after it.
    pub carrier: ResumableStream,
    /// What proves that it is this session that goes on over another stream.
    pub attaching: AttachKey,
    /// Whether the receiver comes back after a cut.
    pub returns: bool,
    /// What the receiver is called by, where it has come back.
    pub resumed: Option<[u8; 16]>,
    /// How long the other end took to answer: a round trip and its work. The sender does not measure it.
    pub round_trip: Duration,
}

/// The receiver, its flight 1 made and not yet answered.
pub struct Initiator {
    exchange: PakeExchange,
    slot: Slot,
    mode: crypto::ExchangeMode,
    aes: Aes,
    hello: Bytes,
    returns: bool,
    began: Instant,
}

impl Initiator {
    /// Makes flight 1 for a code.
    ///
    /// # Errors
    /// Never for the messages of this version.
    pub fn new(code: &Code) -> Result<Self, WireError> {
        Self::on(Aes::detect(), code)
    }

    /// [`Initiator::new`] on a processor that does AES like this.
    ///
    /// # Errors
    /// As there.
    pub fn on(aes: Aes, code: &Code) -> Result<Self, WireError> {
        Self::begin(aes, code.slot(), &Password::from(code.secret()), HelloMode::Code, 0)
    }

    /// Makes flight 1 for a sender at this slot that has welcomed this receiver before.
    ///
    /// # Errors
    /// As [`Initiator::new`].
    pub fn resuming(slot: Slot, resumption: &Resumption, returns: bool) -> Result<Self, WireError> {
        let capabilities = if returns { CAN_REATTACH } else { 0 };
        Self::begin(Aes::detect(), slot, &resumption.into(), HelloMode::Resume(resumption.id), capabilities)
    }

    /// [`Initiator::new`] for who comes back after a cut.
    ///
    /// # Errors
    /// As there.
    pub fn returning(code: &Code) -> Result<Self, WireError> {
        Self::begin(Aes::detect(), code.slot(), &Password::from(code.secret()), HelloMode::Code, CAN_REATTACH)
    }

    fn begin(aes: Aes, slot: Slot, password: &Password, mode: HelloMode, capabilities: u64) -> Result<Self, WireError> {
        let mode_of_exchange = crypto_mode(&mode);
        let (exchange, message) = PakeExchange::start(Role::Receiver, password, slot, mode_of_exchange);
        // The suites differ behind the exchange only. One message serves all: one of them will be answered.
        let exchange_message = |suite| PakeMessage { suite, message: message.clone() };
        let hello = Hello {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities: cipher_suite::capabilities(aes) | capabilities,
            random: rand::random(),
            mode,
            exchanges: SUITES.map(exchange_message).to_vec(),
        };
        let mut bytes = Vec::new();
        frame::encode(&hello, &mut bytes)?;
        let returns = capabilities & CAN_REATTACH != 0;
        Ok(Self { exchange, slot, mode: mode_of_exchange, aes, hello: bytes.into(), returns, began: Instant::now() })
    }

    /// Flight 1, to be sent at once.
    pub fn hello(&self) -> &Bytes {
        &self.hello
    }

    /// Takes flight 2, checks the sender's tag and answers with flight 3.
    ///
    /// # Errors
    /// [`Kind::WrongCode`](crate::error::Kind::WrongCode) for a tag that does not fit and for anything that no sender says; [`Kind::Refused`](crate::error::Kind::Refused) and
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) for an alert; [`Kind::NotFound`](crate::error::Kind::NotFound) and [`Kind::Network`](crate::error::Kind::Network) for a cut.
    pub async fn finish(self, mut send: SendHalf, mut recv: RecvHalf) -> Result<Established> {
        let answer = timeout(FLIGHT_2_WITHIN, recv.read_frame(MAX_CLEAR_BODY)).await.map_err(|_| sender_silent())?;
        let answer = answer.map_err(explain_early_stream_error)?;
        let round_trip = self.began.elapsed();
        if let Ok(alert) = answer.frame().decode::<Alert>() {
            return Err(explain_alert(&alert));
        }
        let reply: HelloReply = answer.frame().decode().map_err(|_| wrong_code())?;
        let cipher = check_choice(self.aes, &reply)?;
        let key = self.exchange.finish(&reply.exchange.message).map_err(|_| wrong_code())?;
        let transcript = Transcript::new(self.slot, self.mode, &self.hello, answer.bytes());
        let keys = SessionKeys::derive(&key, transcript, cipher);
        let confirm = timeout(CONFIRM_WITHIN, recv.read_frame(CONFIRM)).await.map_err(|_| sender_silent())?;
        let confirm: Confirm =
            confirm.map_err(explain_early_stream_error)?.frame().decode().map_err(|_| wrong_code())?;
        keys.verify(Role::Sender, &confirm.tag).map_err(|_| wrong_code())?;
        send.send_message(&Confirm { tag: keys.receiver_tag() }).await.map_err(|e| explain_stream_error(&e))?;
        let (carrier, attaching) = (ResumableStream::new(), keys.attaching());
        let (sealer, opener) = keys.into_records(Role::Receiver);
        let (out, incoming) = (SessionWriter::new(&carrier, send, sealer), SessionReader::new(&carrier, recv));
        Ok(Established { out, incoming, opener, carrier, attaching, returns: self.returns, resumed: None, round_trip })
    }
}

/// The choice must be the best of the suites that both ends have: a downgrade is refused even where the tags would fit.
fn check_choice(aes: Aes, reply: &HelloReply) -> Result<Cipher> {
    if reply.version != VERSION {
        return Err(version_mismatch());
    }
    match cipher_suite::best(cipher_suite::ours(aes), reply.into()) {
        Some((best, cipher)) if best == reply.exchange.suite => Ok(cipher),
        _ => Err(wrong_code()),
    }
}

/// How an attempt ended on the sender's side without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// Flight 2 went out, and no proof came back in time: somebody tried a wrong code, or vanished. The guess is lost.
    Unproved,
    /// It never came to a guess.
    Broken,
    /// The code was tried too often.
    Retired,
    /// The guess could not be written down.
    Disk(Error),
}

/// Answers flight 1 and waits for flight 3. `early` goes out, sealed, together with flight 2.
///
/// # Errors
/// [`HandshakeFailure`]. The other end has been told what it may know.
pub async fn respond(
    code: &Code,
    budget: &GuessBudget,
    early: RecordBuilder,
    send: SendHalf,
    recv: RecvHalf,
) -> Result<Established, HandshakeFailure> {
    respond_on(Aes::detect(), code, budget, early, (send, recv)).await
}

/// [`respond`] on a processor that does AES like this.
///
/// # Errors
/// As there.
pub async fn respond_on(
    aes: Aes,
    code: &Code,
    budget: &GuessBudget,
    early: RecordBuilder,
    (send, mut recv): (SendHalf, RecvHalf),
) -> Result<Established, HandshakeFailure> {
    match first_frame(&mut recv).await {
        Ok(first) => {
            answer(aes, &ResponderContext { code, budget, returning: None }, early, &first, (send, recv)).await
        }
        Err(Some(alert)) => Err(refuse(send, alert, 0).await),
        Err(None) => Err(HandshakeFailure::Broken),
    }
}

/// Reads what a receiver says first. Without an alert there is nobody to be told.
///
/// # Errors
/// What it is to be told.
pub(crate) async fn first_frame(recv: &mut RecvHalf) -> Result<OwnedFrame, Option<AlertReason>> {
    match timeout(REPLY, recv.read_frame(MAX_CLEAR_BODY)).await {
        Ok(Ok(frame)) => Ok(frame),
        Ok(Err(StreamError::Wire(_))) | Err(_) => Err(Some(AlertReason::Malformed)),
        Ok(Err(_)) => Err(None),
    }
}

/// The ways into a share.
pub(crate) struct ResponderContext<'a> {
    pub(crate) code: &'a Code,
    pub(crate) budget: &'a GuessBudget,
    /// For receivers that come back, where there can be any.
    pub(crate) returning: Option<ResumptionContext<'a>>,
}

/// The way in for receivers that come back.
pub(crate) struct ResumptionContext<'a> {
    /// What the receiver comes back with that says hello, if it does.
    pub(crate) resumption: &'a Resumption,
    /// For so many that have not proved themselves yet.
    pub(crate) unproved: &'a Semaphore,
}

/// What it costs to be answered, until the receiver has proved itself.
enum AdmissionCost<'a> {
    Attempt(Attempt),
    Unproved(#[allow(dead_code, reason = "held until it is dropped")] SemaphorePermit<'a>),
}

/// [`respond_on`] to a flight 1 that was read.
pub(crate) async fn answer(
    aes: Aes,
    doors: &ResponderContext<'_>,
    early: RecordBuilder,
    first: &OwnedFrame,
    (mut send, mut recv): (SendHalf, RecvHalf),
) -> Result<Established, HandshakeFailure> {
    let flight = match Flight1::check(aes, first) {
        Ok(flight) => flight,
        Err(alert) => return Err(refuse(send, alert, 0).await),
    };
    let slot = doors.code.slot();
    let (password, resumed) = match (&flight.mode, &doors.returning) {
        (HelloMode::Code, _) => (Password::from(doors.code.secret()), None),
        (HelloMode::Resume(id), Some(door)) if door.resumption.id == *id => {
            (Password::from(door.resumption), Some(*id))
        }
        (HelloMode::Resume(_), _) => return Err(refuse(send, AlertReason::UnknownSession, 0).await),
    };
    let mode = crypto_mode(&flight.mode);
    let (exchange, message) = PakeExchange::start(Role::Sender, &password, slot, mode);
    let Ok(key) = exchange.finish(&flight.message) else {
        return Err(refuse(send, AlertReason::Malformed, 0).await);
    };
    let reply = HelloReply {
        version: VERSION,
        suites: SUITES.to_vec(),
        capabilities: cipher_suite::capabilities(aes),
        random: rand::random(),
        exchange: PakeMessage { suite: flight.suite, message },
    };
    let mut bytes = Vec::new();
    frame::encode(&reply, &mut bytes).map_err(|_| HandshakeFailure::Broken)?;
    let transcript = Transcript::new(slot, mode, &flight.bytes, &bytes);
    let keys = SessionKeys::derive(&key, transcript, flight.cipher);
    frame::encode(&Confirm { tag: keys.sender_tag() }, &mut bytes).map_err(|_| HandshakeFailure::Broken)?;
    let fee = match (&flight.mode, &doors.returning) {
        (HelloMode::Resume(_), Some(door)) => match timeout(WAIT, door.unproved.acquire()).await {
            Ok(Ok(permit)) => AdmissionCost::Unproved(permit),
            _ => return Err(refuse(send, AlertReason::Busy, 10).await),
        },
        _ => match doors.budget.take().await {
            Ok(guess) => AdmissionCost::Attempt(guess),
            Err(AttemptRefused::Spent(wait)) => {
                return Err(refuse(send, AlertReason::GuessBudgetSpent, seconds(wait)).await);
            }
            Err(AttemptRefused::Retired) => {
                refuse(send, AlertReason::GuessBudgetSpent, 0).await;
                return Err(HandshakeFailure::Retired);
            }
            Err(AttemptRefused::Disk(e)) => {
                refuse(send, AlertReason::SenderError, 60).await;
                return Err(HandshakeFailure::Disk(e));
            }
        },
    };
    // The receiver's tag is checked before anything it sealed is opened, so the keys are needed until then; what is
    // sealed here before that is only the first part of the manifest.
    let expected = keys.expected(Role::Receiver);
    let (carrier, attaching) = (ResumableStream::new(), keys.attaching());
    let (sealer, opener) = keys.into_records(Role::Sender);
    let confirmed = async {
        send.write(bytes.into()).await?;
        let mut out = SessionWriter::new(&carrier, send, sealer);
        out.send(early).await?;
        let confirm: Confirm = recv.read_frame(CONFIRM).await?.frame().decode()?;
        Ok::<_, StreamError>((out, confirm))
    };
    match timeout(CONFIRM_WITHIN, confirmed).await {
        Ok(Ok((out, confirm))) if expected.verify(&confirm.tag).is_ok() => {
            if let AdmissionCost::Attempt(guess) = fee {
                guess.give_back();
            }
            let incoming = SessionReader::new(&carrier, recv);
            let (returns, round_trip) = (flight.returns, Duration::ZERO);
            Ok(Established { out, incoming, opener, carrier, attaching, returns, resumed, round_trip })
        }
        _ if resumed.is_some() => Err(HandshakeFailure::Broken), // no guess was lost
        _ => Err(HandshakeFailure::Unproved),
    }
}

/// The mode of the exchange behind what flight 1 says.
fn crypto_mode(mode: &HelloMode) -> crypto::ExchangeMode {
    match mode {
        HelloMode::Code => crypto::ExchangeMode::Code,
        HelloMode::Resume(_) => crypto::ExchangeMode::Resume,
    }
}

/// Flight 1, checked as far as it can be, and the suite that it leads to.
struct Flight1 {
    bytes: Bytes,
    suite: u16,
    cipher: Cipher,
    message: Vec<u8>,
    mode: HelloMode,
    returns: bool,
}

impl Flight1 {
    fn check(aes: Aes, first: &OwnedFrame) -> Result<Self, AlertReason> {
        let hello: Hello = first.frame().decode().map_err(|_| AlertReason::Malformed)?;
        if hello.version != VERSION {
            return Err(AlertReason::Version);
        }
        let (suite, cipher) = cipher_suite::best(cipher_suite::ours(aes), (&hello).into()).ok_or(AlertReason::Suite)?;
        let exchange = hello.exchanges.into_iter().find(|e| e.suite == suite).ok_or(AlertReason::Malformed)?;
        let returns = hello.capabilities & CAN_REATTACH != 0;
        Ok(Self { bytes: first.bytes().clone(), suite, cipher, message: exchange.message, mode: hello.mode, returns })
    }
}

/// Whole seconds after which a wait is over; never 0, which means for ever.
fn seconds(wait: Duration) -> u32 {
    wait.as_millis().div_ceil(1000).max(1) as u32
}

/// Tells a receiver that there are too many of them.
pub(crate) async fn turn_away(send: SendHalf) {
    refuse(send, AlertReason::Busy, 60).await;
}

/// Tells the receiver why there is no session.
pub(crate) async fn refuse(mut send: SendHalf, reason: AlertReason, retry_after: u32) -> HandshakeFailure {
    if send.send_message(&Alert { reason, retry_after }).await.is_ok() {
        send.finish();
    }
    HandshakeFailure::Broken
}
