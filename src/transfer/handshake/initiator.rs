//! The receiver's end of the handshake: sends flight 1, checks flight 2 and sends flight 3.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    cipher_suite, confirm::read_confirm, credential::Credential, established::Established,
    guess_budget::CONFIRM_TIMEOUT, initiator_error::InitiatorError, processing_notice::read_flight_2,
};
use crate::{
    code::Slot,
    crypto::{Cipher, ExchangeMode, PakeExchange, PeerMessage, Role, SessionKeys, Transcript},
    net::{OwnedFrame, RecvHalf, SendHalf, wait_on_peer},
    processor::Aes,
    transfer::session::{SessionReader, SessionWriter, resumable_stream::ResumableStream},
    wire::{
        WireError, frame,
        peer::{Alert, CAN_REATTACH, Confirm, Hello, HelloReply, PakeMessage, SUITES, VERSION},
    },
};

/// The receiver's end of a handshake whose flight 1 is ready and not yet answered.
pub struct Initiator {
    exchange: PakeExchange,
    slot: Slot,
    exchange_mode: ExchangeMode,
    options: InitiatorOptions,
    flight_1: Bytes,
    started: Instant,
}

/// What the receiver announces besides its credential.
#[derive(Debug, Clone, Copy)]
pub struct InitiatorOptions {
    /// How this processor computes AES, which decides the preferred cipher.
    pub aes: Aes,
    /// Whether this receiver reattaches after its stream has failed.
    pub can_reattach: bool,
}

impl Default for InitiatorOptions {
    /// This machine's processor; the receiver does not reattach.
    fn default() -> Self {
        Self { aes: Aes::detect(), can_reattach: false }
    }
}

impl Initiator {
    /// Creates flight 1.
    ///
    /// # Errors
    /// [`WireError`] if flight 1 cannot be encoded, which does not happen with the messages of this version.
    pub fn new(credential: Credential<'_>, options: InitiatorOptions) -> Result<Self, WireError> {
        let (slot, exchange_mode) = (credential.slot(), credential.exchange_mode());
        let (exchange, message) = PakeExchange::start(Role::Receiver, &credential.password(), slot, exchange_mode);
        // The suites differ only in what follows the PAKE, so one PAKE message serves all of them.
        let pake_message = |suite| PakeMessage { suite, message: message.clone() };
        let reattach = if options.can_reattach { CAN_REATTACH } else { 0 };
        let hello = Hello {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities: cipher_suite::capabilities(options.aes) | reattach,
            random: rand::random(),
            mode: credential.hello_mode(),
            exchanges: SUITES.map(pake_message).to_vec(),
        };
        let mut bytes = Vec::new();
        frame::encode(&hello, &mut bytes)?;
        Ok(Self { exchange, slot, exchange_mode, options, flight_1: bytes.into(), started: Instant::now() })
    }

    /// Returns the bytes of flight 1, to be sent at once.
    pub fn flight_1(&self) -> &Bytes {
        &self.flight_1
    }

    /// Reads flight 2, checks the sender's tag and sends flight 3.
    ///
    /// # Errors
    /// [`InitiatorError`] if the sender refuses or does not reply in time, if its tag is wrong, or if the stream fails.
    pub async fn complete(self, mut send: SendHalf, mut recv: RecvHalf) -> Result<Established, InitiatorError> {
        let flight_2 = read_flight_2(&mut recv).await.map_err(InitiatorError::from_unconfirmed)?;
        let (round_trip, can_reattach) = (self.started.elapsed(), self.options.can_reattach);
        let keys = self.derive_keys(&flight_2)?;
        let confirm = wait_on_peer(CONFIRM_TIMEOUT, [], read_confirm(&mut recv)).await;
        keys.verify_tag(Role::Sender, &confirm.map_err(InitiatorError::from_unconfirmed)?.tag)
            .map_err(|_| InitiatorError::WrongCode)?;
        let flight_3 = Confirm { tag: keys.receiver_tag() };
        // The rest of the manifest follows flight 3. The data before flight 3 has its own small window.
        let sent = wait_on_peer(CONFIRM_TIMEOUT, [], send.send_message(&flight_3)).await;
        sent.map_err(InitiatorError::from_confirmed)?;
        let (stream, attach_key) = (ResumableStream::new(), keys.attach_key());
        let (sealer, opener) = keys.into_record_layer(Role::Receiver);
        Ok(Established {
            writer: SessionWriter::new(&stream, send, sealer),
            reader: SessionReader::new(&stream, recv),
            opener,
            stream,
            attach_key,
            can_reattach,
            resumption_id: None,
            round_trip,
        })
    }

    /// Checks flight 2 up to the sender's tag and derives the session's keys.
    fn derive_keys(self, flight_2: &OwnedFrame) -> Result<SessionKeys, InitiatorError> {
        if let Ok(alert) = flight_2.frame().decode::<Alert>() {
            return Err(InitiatorError::from_alert(alert));
        }
        let reply: HelloReply = flight_2.frame().decode().map_err(|_| InitiatorError::WrongCode)?;
        let cipher = check_suite(self.options.aes, &reply)?;
        let message = PeerMessage::parse(Role::Sender, &reply.exchange.message);
        let key = message.and_then(|message| self.exchange.finish(&message)).map_err(|_| InitiatorError::WrongCode)?;
        let transcript = Transcript::new(self.slot, self.exchange_mode, &self.flight_1, flight_2.bytes());
        Ok(SessionKeys::derive(&key, transcript, cipher))
    }
}

/// Refuses a reply whose suite is not the best one that both ends have. Any other choice is a downgrade, even if the
/// tags would match.
fn check_suite(aes: Aes, reply: &HelloReply) -> Result<Cipher, InitiatorError> {
    if reply.version != VERSION {
        return Err(InitiatorError::UnsupportedVersion);
    }
    match cipher_suite::best(cipher_suite::ours(aes), reply.into()) {
        Some((best, cipher)) if best == reply.exchange.suite => Ok(cipher),
        _ => Err(InitiatorError::WrongCode),
    }
}
