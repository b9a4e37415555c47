//! The sender's end of the handshake: checks flight 1, charges an attempt, sends flight 2 and waits for flight 3.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{
    alert::{BUSY_RETRY_DELAY, send_alert},
    cipher_suite,
    confirm::read_confirm,
    credential::Credential,
    established::Established,
    flight_1::{FirstFrameError, Flight1, read_first_frame},
    guess_budget::{Attempt, AttemptRefused, CONFIRM_TIMEOUT, GuessBudget},
};
use crate::{
    code::Code,
    crypto::{PakeExchange, Resumption, Role, SessionKeys, ShareKey, Transcript},
    error::Error,
    manifest::ShareId,
    net::{OwnedFrame, RecvHalf, SendHalf, wait_on_peer},
    processor::Aes,
    transfer::session::{RecordBuilder, SessionReader, SessionWriter, resumable_stream::ResumableStream},
    wire::{
        WireError, frame,
        peer::{AlertReason, Confirm, HelloMode, HelloReply, PakeMessage, SUITES, VERSION},
        relay::SourceTag,
        reset_code::{CANCELLED, UNCONFIRMED},
    },
};

/// The delay after which a receiver should retry if the sender cannot save its guess budget.
const DISK_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The sender's end of handshakes with one code.
///
/// A handshake is a succession of states: [checked](Self::check), [charged](CheckedHello::charge), and
/// [confirmed](ChargedHello::confirm). Each state is paid for in the one before it. The caller may do work for the
/// receiver, such as a scan of the shared files, once the handshake is charged.
pub struct Responder<'a> {
    code: &'a Code,
    budget: &'a GuessBudget,
    source: SourceTag,
    /// The key of the share with this id, which recognizes resuming receivers.
    share_key: Option<(&'a ShareKey, ShareId)>,
    aes: Aes,
}

impl<'a> Responder<'a> {
    /// Admits a receiver that knows `code`, and charges its attempt to `budget` and to its network `source`.
    pub fn new(code: &'a Code, budget: &'a GuessBudget, source: SourceTag) -> Self {
        Self { code, budget, source, share_key: None, aes: Aes::detect() }
    }

    /// Prefers the cipher for a processor that computes AES as `aes`.
    #[must_use]
    pub fn with_aes(self, aes: Aes) -> Self {
        Self { aes, ..self }
    }

    /// Admits receivers that resume with credentials of this key, too.
    #[must_use]
    pub(crate) fn with_share_key(self, key: &'a ShareKey, share: ShareId) -> Self {
        Self { share_key: Some((key, share)), ..self }
    }

    /// Reads flight 1 from a new stream, charges an attempt, answers with flight 2 and `early`, and waits for flight 3.
    ///
    /// # Errors
    /// [`HandshakeFailure`]. The receiver has been sent an alert if it may know the reason.
    pub async fn accept(
        self,
        early: RecordBuilder,
        (send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<Established, HandshakeFailure> {
        let first = match read_first_frame(&mut recv).await {
            Ok(first) => first,
            Err(FirstFrameError::Malformed) => {
                send_alert(send, AlertReason::Malformed, None).await;
                return Err(HandshakeFailure::NotCharged);
            }
            Err(FirstFrameError::Lost) => return Err(HandshakeFailure::NotCharged),
        };
        let charged = match self.check(&first) {
            Ok(checked) => checked.charge().await,
            Err(reason) => Err(reason.into()),
        };
        match charged {
            Ok(charged) => charged.confirm(early, (send, recv)).await,
            Err(HandshakeRefusal { reason, retry_after, failure }) => {
                send_alert(send, reason, retry_after).await;
                Err(failure)
            }
        }
    }

    /// Checks flight 1. Computes no key, reserves nothing and costs no attempt.
    ///
    /// # Errors
    /// The [`AlertReason`] to send to the receiver.
    pub(crate) fn check(self, first: &OwnedFrame) -> Result<CheckedHello<'a>, AlertReason> {
        let flight_1 = Flight1::parse(self.aes, first)?;
        let resumption = match flight_1.mode {
            HelloMode::Code => None,
            HelloMode::Resume(id) => {
                let (key, share) = self.share_key.ok_or(AlertReason::UnknownSession)?;
                let verified = key.verify_resumption(share.as_bytes(), id.receiver, id.tag);
                Some(verified.map_err(|_| AlertReason::UnknownSession)?)
            }
        };
        Ok(CheckedHello { responder: self, flight_1, resumption })
    }
}

/// A valid flight 1 of a receiver that may proceed once the handshake is charged.
pub(crate) struct CheckedHello<'a> {
    responder: Responder<'a>,
    flight_1: Flight1,
    /// The credentials that the receiver must have if it resumes.
    resumption: Option<Resumption>,
}

impl<'a> CheckedHello<'a> {
    /// Returns the credentials that the receiver must have; `None` if it must know the code.
    pub(crate) fn resumption(&self) -> Option<&Resumption> {
        self.resumption.as_ref()
    }

    /// Charges an attempt, unless the receiver resumes. The caller bounds the number of resumptions.
    ///
    /// # Errors
    /// [`HandshakeRefusal`] if no attempt is left or the charge cannot be saved.
    pub(crate) async fn charge(self) -> Result<ChargedHello<'a>, HandshakeRefusal> {
        let attempt = match self.resumption {
            Some(_) => None,
            None => Some(self.responder.budget.charge(self.responder.source).await?),
        };
        Ok(ChargedHello { hello: self, attempt })
    }
}

/// A handshake whose receiver has been charged, or resumes.
pub(crate) struct ChargedHello<'a> {
    hello: CheckedHello<'a>,
    /// The attempt; `None` if the receiver resumes.
    attempt: Option<Attempt>,
}

/// Flight 2 before it is sent, and the keys that it leads to.
struct Flight2 {
    bytes: Vec<u8>,
    keys: SessionKeys,
}

impl Flight2 {
    fn new(aes: Aes, credential: &Credential<'_>, flight_1: &Flight1) -> Result<Self, WireError> {
        let (slot, mode) = (credential.slot(), credential.exchange_mode());
        let (exchange, message) = PakeExchange::start(Role::Sender, &credential.password(), slot, mode);
        // Cannot fail: flight 1 was parsed as the message of a receiver.
        let key = exchange.finish(&flight_1.pake_message).map_err(|_| WireError::Malformed)?;
        let reply = HelloReply {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities: cipher_suite::capabilities(aes),
            random: rand::random(),
            exchange: PakeMessage { suite: flight_1.suite, message },
        };
        let mut bytes = Vec::new();
        frame::encode(&reply, &mut bytes)?;
        let transcript = Transcript::new(slot, mode, &flight_1.bytes, &bytes);
        let keys = SessionKeys::derive(&key, transcript, flight_1.cipher);
        frame::encode(&Confirm { tag: keys.sender_tag() }, &mut bytes)?;
        Ok(Self { bytes, keys })
    }
}

impl ChargedHello<'_> {
    /// Returns the credentials that the receiver must have; `None` if it must know the code.
    pub(crate) fn resumption(&self) -> Option<&Resumption> {
        self.hello.resumption()
    }

    /// Ends the stream of a receiver that leaves or violates the protocol before flight 2. The receiver loses its
    /// attempt.
    pub(crate) fn abandon(self, (mut send, recv): (SendHalf, RecvHalf)) -> HandshakeFailure {
        let failure = self.failure();
        failure.end_stream(|code| send.reset(code), recv);
        failure
    }

    /// Returns the failure of this handshake if the receiver does not confirm.
    fn failure(&self) -> HandshakeFailure {
        match self.attempt {
            Some(_) => HandshakeFailure::Unconfirmed,
            None => HandshakeFailure::NotCharged,
        }
    }

    /// Sends flight 2 and `early`, and refunds the attempt if the receiver's tag is right and in time.
    ///
    /// # Errors
    /// [`HandshakeFailure`] if the receiver does not confirm.
    pub(crate) async fn confirm(
        self,
        early: RecordBuilder,
        (mut send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<Established, HandshakeFailure> {
        let failure = self.failure();
        let Self { hello: CheckedHello { responder, flight_1, resumption }, mut attempt } = self;
        let Responder { code, aes, .. } = responder;
        let credential = match &resumption {
            Some(resumption) => Credential::Resumption { slot: code.slot(), resumption },
            None => Credential::Code(code),
        };
        if let Some(attempt) = &mut attempt {
            attempt.start_timeout();
        }
        let flight_2 = Flight2::new(aes, &credential, &flight_1);
        // Cannot fail: messages of this version can always be encoded.
        let Ok(Flight2 { bytes, keys }) = flight_2 else { return Err(HandshakeFailure::NotCharged) };
        // `early` is all that is sealed before the receiver has confirmed. None of the receiver's records is opened
        // before its tag is checked.
        let expected = keys.expected_tag(Role::Receiver);
        let (stream, attach_key) = (ResumableStream::new(), keys.attach_key());
        let (sealer, opener) = keys.into_record_layer(Role::Sender);
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        if wait_on_peer(CONFIRM_TIMEOUT, [&mut recv], send.write(bytes.into())).await.is_err() {
            failure.end_stream(|code| send.reset(code), recv);
            return Err(failure);
        }
        let stopped = send.stopped();
        let mut writer = SessionWriter::new(&stream, send, sealer);
        let exchange = async {
            wait_on_peer(CONFIRM_TIMEOUT, [&mut recv], writer.send(early)).await?;
            debug!("flight 2 is written");
            wait_on_peer(CONFIRM_TIMEOUT, [], read_confirm(&mut recv)).await
        };
        let exchange = async {
            tokio::select! {
                biased;
                confirm = exchange => confirm,
                stopped = stopped => Err(stopped.into()), // a receiver that has left; the relay waits for the verdict
            }
        };
        match timeout_at(deadline, exchange).await {
            Ok(Ok(confirm)) if expected.verify(&confirm.tag).is_ok() => {}
            _ => {
                failure.end_stream(|code| writer.reset(code), recv);
                return Err(failure);
            }
        }
        if let Some(attempt) = attempt {
            attempt.refund();
        }
        Ok(Established {
            writer,
            reader: SessionReader::new(&stream, recv),
            opener,
            stream,
            attach_key,
            can_reattach: flight_1.can_reattach,
            resumption_id: resumption.map(|resumption| resumption.id),
            round_trip: Duration::ZERO,
        })
    }
}

/// A handshake that ends before flight 2: the alert for the receiver, and the outcome for the sender.
pub(crate) struct HandshakeRefusal {
    pub(crate) reason: AlertReason,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) failure: HandshakeFailure,
}

impl HandshakeRefusal {
    /// Refuses a receiver because too many others are served. It may retry after `retry_after`.
    pub(crate) fn busy(retry_after: Duration) -> Self {
        Self::not_charged(AlertReason::Busy, retry_after)
    }

    fn not_charged(reason: AlertReason, retry_after: Duration) -> Self {
        Self { reason, retry_after: Some(retry_after), failure: HandshakeFailure::NotCharged }
    }
}

impl From<AlertReason> for HandshakeRefusal {
    fn from(reason: AlertReason) -> Self {
        Self { reason, retry_after: None, failure: HandshakeFailure::NotCharged }
    }
}

impl From<AttemptRefused> for HandshakeRefusal {
    fn from(refused: AttemptRefused) -> Self {
        match refused {
            AttemptRefused::Queued => Self::busy(BUSY_RETRY_DELAY),
            AttemptRefused::Spent(wait) => Self::not_charged(AlertReason::GuessBudgetSpent, wait),
            AttemptRefused::Retired => {
                Self { reason: AlertReason::GuessBudgetSpent, retry_after: None, failure: HandshakeFailure::Retired }
            }
            AttemptRefused::Disk(e) => Self {
                reason: AlertReason::SenderError,
                retry_after: Some(DISK_RETRY_DELAY),
                failure: HandshakeFailure::Disk(e),
            },
        }
    }
}

/// How a handshake ended at the sender without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// Flight 2 was sent, and no valid tag arrived in time: a wrong code, or a lost receiver. The attempt is lost.
    Unconfirmed,
    /// No attempt was charged.
    NotCharged,
    /// The code has lost too many attempts and is retired.
    Retired,
    /// The charge could not be saved.
    Disk(Error),
}

impl HandshakeFailure {
    /// Ends a stream whose receiver has not confirmed. The reset code of a lost attempt lets the relay count the
    /// attempt.
    fn end_stream(&self, reset: impl FnOnce(u32), mut recv: RecvHalf) {
        let code = if *self == Self::Unconfirmed { UNCONFIRMED } else { CANCELLED };
        reset(code);
        recv.stop(code);
    }
}
