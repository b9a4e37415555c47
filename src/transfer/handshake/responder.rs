//! The sender's end of the handshake: checks flight 1, charges an attempt, sends flight 2 and waits for flight 3.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::debug;

use super::{
    alert::send_alert,
    cipher_suite,
    confirm::read_confirm,
    credential::Credential,
    established::Established,
    flight_1::{FirstFrameError, Flight1, read_first_frame},
    guess_budget::{Attempt, AttemptRefused, CONFIRM_TIMEOUT, GuessBudget, QUEUE_TIMEOUT},
};
use crate::{
    code::Code,
    crypto::{PakeExchange, Resumption, Role, SessionKeys, Transcript},
    error::Error,
    net::{OwnedFrame, RecvHalf, SendHalf, StreamError},
    processor::Aes,
    transfer::session::{RecordBuilder, SessionReader, SessionWriter, resumable_stream::ResumableStream},
    wire::{
        WireError, frame,
        peer::{AlertReason, Confirm, HelloMode, HelloReply, PakeMessage, SUITES, VERSION},
    },
};

/// The delay after which a receiver should retry if its resumption found no free permit.
const PERMIT_RETRY_DELAY: Duration = Duration::from_secs(10);

/// The delay after which a receiver should retry if the sender cannot save its guess budget.
const DISK_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The sender's end of handshakes with one code.
pub struct Responder<'a> {
    code: &'a Code,
    budget: &'a GuessBudget,
    resumption: Option<ResumptionAdmission<'a>>,
    aes: Aes,
}

/// Admits one receiver that resumes instead of proving the code.
pub(crate) struct ResumptionAdmission<'a> {
    /// The credentials that the receiver must have.
    pub(crate) expected: &'a Resumption,
    /// Bounds the resumptions that await confirmation, because they cost no attempt.
    pub(crate) permits: &'a Semaphore,
}

impl<'a> Responder<'a> {
    /// Admits receivers that know `code`, and charges their attempts to `budget`.
    pub fn new(code: &'a Code, budget: &'a GuessBudget) -> Self {
        Self { code, budget, resumption: None, aes: Aes::detect() }
    }

    /// Prefers the cipher for a processor that computes AES as `aes`.
    #[must_use]
    pub fn with_aes(self, aes: Aes) -> Self {
        Self { aes, ..self }
    }

    /// Also admits a receiver that resumes.
    #[must_use]
    pub(crate) fn with_resumption(self, resumption: ResumptionAdmission<'a>) -> Self {
        Self { resumption: Some(resumption), ..self }
    }

    /// Reads flight 1 from a new stream and [responds](Self::respond) to it.
    ///
    /// # Errors
    /// [`HandshakeFailure`]. The receiver has been sent an alert if it may know the reason.
    pub async fn accept(
        self,
        early: RecordBuilder,
        (send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<Established, HandshakeFailure> {
        match read_first_frame(&mut recv).await {
            Ok(first) => self.respond(&first, early, (send, recv)).await,
            Err(FirstFrameError::Malformed) => {
                send_alert(send, AlertReason::Malformed, None).await;
                Err(HandshakeFailure::NotCharged)
            }
            Err(FirstFrameError::Lost) => Err(HandshakeFailure::NotCharged),
        }
    }

    /// Responds to flight 1 and waits for flight 3. Sends `early`, sealed, with flight 2.
    ///
    /// # Errors
    /// [`HandshakeFailure`]. The receiver has been sent an alert if it may know the reason.
    pub(crate) async fn respond(
        self,
        first: &OwnedFrame,
        early: RecordBuilder,
        (send, recv): (SendHalf, RecvHalf),
    ) -> Result<Established, HandshakeFailure> {
        match self.prepare(first).await {
            Ok(prepared) => prepared.confirm(early, (send, recv)).await,
            Err(HandshakeRefusal { reason, retry_after, failure }) => {
                send_alert(send, reason, retry_after).await;
                Err(failure)
            }
        }
    }

    /// Does everything that precedes flight 2. The charge comes last, so that a malformed flight 1 costs nothing.
    async fn prepare(&self, first: &OwnedFrame) -> Result<PreparedReply<'_>, HandshakeRefusal> {
        let flight_1 = Flight1::parse(self.aes, first)?;
        let credential = self.select_credential(&flight_1.mode)?;
        let flight_2 = Flight2::new(self.aes, &credential, &flight_1)?;
        Ok(PreparedReply {
            charge: self.charge(&credential).await?,
            flight_2,
            can_reattach: flight_1.can_reattach,
            resumption_id: credential.resumption_id(),
        })
    }

    /// Returns the credential for `mode`.
    fn select_credential(&self, mode: &HelloMode) -> Result<Credential<'a>, AlertReason> {
        match (mode, &self.resumption) {
            (HelloMode::Code, _) => Ok(Credential::Code(self.code)),
            (HelloMode::Resume(id), Some(ResumptionAdmission { expected, .. })) if expected.id == *id => {
                Ok(Credential::Resumption { slot: self.code.slot(), resumption: expected })
            }
            (HelloMode::Resume(_), _) => Err(AlertReason::UnknownSession),
        }
    }

    /// Charges an attempt to the guess budget; for a resumption, takes a permit instead.
    async fn charge(&self, credential: &Credential<'_>) -> Result<Charge<'_>, HandshakeRefusal> {
        if let (Credential::Resumption { .. }, Some(resumption)) = (credential, &self.resumption) {
            return match timeout(QUEUE_TIMEOUT, resumption.permits.acquire()).await {
                Ok(Ok(permit)) => Ok(Charge::Permit(permit)),
                _ => Err(HandshakeRefusal::not_charged(AlertReason::Busy, PERMIT_RETRY_DELAY)),
            };
        }
        self.budget.charge().await.map(Charge::Attempt).map_err(HandshakeRefusal::from)
    }
}

/// The attempt or the permit that a handshake holds until the receiver has confirmed.
enum Charge<'a> {
    Attempt(Attempt),
    Permit(#[allow(dead_code, reason = "held until it is dropped")] SemaphorePermit<'a>),
}

/// Flight 2 before it is sent, and the keys that it leads to.
struct Flight2 {
    bytes: Vec<u8>,
    keys: SessionKeys,
}

impl Flight2 {
    fn new(aes: Aes, credential: &Credential<'_>, flight_1: &Flight1) -> Result<Self, AlertReason> {
        let (slot, mode) = (credential.slot(), credential.exchange_mode());
        let (exchange, message) = PakeExchange::start(Role::Sender, &credential.password(), slot, mode);
        let key = exchange.finish(&flight_1.pake_message).map_err(|_| AlertReason::Malformed)?;
        let reply = HelloReply {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities: cipher_suite::capabilities(aes),
            random: rand::random(),
            exchange: PakeMessage { suite: flight_1.suite, message },
        };
        // Messages of this version can always be encoded.
        let unencodable = |_: WireError| AlertReason::SenderError;
        let mut bytes = Vec::new();
        frame::encode(&reply, &mut bytes).map_err(unencodable)?;
        let transcript = Transcript::new(slot, mode, &flight_1.bytes, &bytes);
        let keys = SessionKeys::derive(&key, transcript, flight_1.cipher);
        frame::encode(&Confirm { tag: keys.sender_tag() }, &mut bytes).map_err(unencodable)?;
        Ok(Self { bytes, keys })
    }
}

/// A handshake that has been charged and whose flight 2 is ready.
struct PreparedReply<'a> {
    flight_2: Flight2,
    charge: Charge<'a>,
    can_reattach: bool,
    resumption_id: Option<[u8; 16]>,
}

impl PreparedReply<'_> {
    /// Sends flight 2 and `early`, and refunds the attempt if the receiver's tag is right and in time.
    async fn confirm(
        self,
        early: RecordBuilder,
        (mut send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<Established, HandshakeFailure> {
        let Flight2 { bytes, keys } = self.flight_2;
        // `early` is all that is sealed before the receiver has confirmed. None of the receiver's records is opened
        // before its tag is checked.
        let expected = keys.expected_tag(Role::Receiver);
        let (stream, attach_key) = (ResumableStream::new(), keys.attach_key());
        let (sealer, opener) = keys.into_record_layer(Role::Sender);
        let exchange = async {
            send.write(bytes.into()).await?;
            let mut writer = SessionWriter::new(&stream, send, sealer);
            writer.send(early).await?;
            debug!("flight 2 is written");
            Ok::<_, StreamError>((writer, read_confirm(&mut recv).await?))
        };
        let writer = match timeout(CONFIRM_TIMEOUT, exchange).await {
            Ok(Ok((writer, confirm))) if expected.verify(&confirm.tag).is_ok() => writer,
            _ if self.resumption_id.is_some() => return Err(HandshakeFailure::NotCharged),
            _ => return Err(HandshakeFailure::Unconfirmed),
        };
        if let Charge::Attempt(attempt) = self.charge {
            attempt.refund();
        }
        Ok(Established {
            writer,
            reader: SessionReader::new(&stream, recv),
            opener,
            stream,
            attach_key,
            can_reattach: self.can_reattach,
            resumption_id: self.resumption_id,
            round_trip: Duration::ZERO,
        })
    }
}

/// A handshake that ends before flight 2: the alert for the receiver, and the outcome for the sender.
struct HandshakeRefusal {
    reason: AlertReason,
    retry_after: Option<Duration>,
    failure: HandshakeFailure,
}

impl HandshakeRefusal {
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
