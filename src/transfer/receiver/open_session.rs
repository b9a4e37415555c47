//! One attempt to open a session: from a connection to the relay to the sender's offer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::debug;

use super::{
    confirmed_session::ConfirmedSession,
    reattach::ReattachContext,
    receive_error::ReceiveError,
    reconnect::Reconnector,
    reconnect_config::ReconnectConfig,
    resumption_store::StoredResumption,
    stall_detector::{SilentSender, StallDetector},
};
use crate::{
    code::Code,
    crypto::Resumption,
    error::Error,
    manifest::Manifest,
    net::{Connection, StreamError},
    sync::Mutex,
    transfer::{
        handshake::{Credential, Established, Initiator, InitiatorError, InitiatorOptions},
        relay_request::{RequestError, send_relay_request},
        session::{manifest_decoder::ManifestDecoder, receive_window::ReceiveWindow},
        user_errors::resumption_rejected,
    },
    wire::relay::{ConnectReply, ConnectRequest},
};

/// Confirms a session over `connection` and reads the sender's offer.
///
/// The receiver authenticates with the stored resumption if there is one, and with the code otherwise.
///
/// # Errors
/// [`OpenSessionError`]. An error after the handshake is reported to the sender.
pub(super) async fn open_session(
    connection: &Connection,
    code: &Code,
    config: &ReconnectConfig,
    stored: Option<&StoredResumption>,
) -> Result<(ConfirmedSession, Manifest), OpenSessionError> {
    let (established, ConnectReply { limits, pass, route }) = establish(connection, code, config, stored).await?;
    let Established { writer, reader, opener, stream, attach_key, round_trip, .. } = established;
    debug!("session confirmed after {round_trip:?}");
    connection.raise_receive_window();
    let window = ReceiveWindow::new(limits.bridge_bytes, config.rate_limit, round_trip, Instant::now());
    let resumption = Arc::<OnceLock<Resumption>>::default();
    let route = Arc::new(Mutex::new(route));
    let context = ReattachContext {
        slot: code.slot(),
        stream,
        attach_key,
        connection: connection.clone(),
        pass: pass.clone(),
        route: Arc::clone(&route),
        resumption: Arc::clone(&resumption),
    };
    let reconnector = Reconnector::spawn(context, config);
    let mut session = ConfirmedSession { writer, reader, opener, window, reconnector, route, resumption: None };
    match read_offer(&mut session).await {
        Ok((manifest, granted)) => {
            if let Some(granted) = granted {
                let _ = resumption.set(granted.clone()); // this is the only place that sets it
                session.resumption = Some(StoredResumption { resumption: granted, pass });
            }
            Ok((session, manifest))
        }
        Err(e) => {
            session.abort(&e.clone().into()).await;
            Err(OpenSessionError::Offer(e))
        }
    }
}

/// Requests a stream to the sender from the relay, and completes the handshake on it.
async fn establish(
    connection: &Connection,
    code: &Code,
    config: &ReconnectConfig,
    stored: Option<&StoredResumption>,
) -> Result<(Established, ConnectReply), OpenSessionError> {
    let credential = match stored {
        Some(stored) => Credential::Resumption { slot: code.slot(), resumption: &stored.resumption },
        None => Credential::Code(code),
    };
    let options = InitiatorOptions { can_reattach: !config.retry_for.is_zero(), ..Default::default() };
    let initiator = Initiator::new(credential, options).map_err(ReceiveError::from)?;
    let request = ConnectRequest { slot: code.slot(), token: None, pass: stored.map(|stored| stored.pass.clone()) };
    // Flight 1 does not wait for the relay's reply.
    let (send, recv, reply) = send_relay_request(connection, &request, initiator.flight_1()).await?;
    debug!("the relay has replied");
    match initiator.complete(send, recv).await {
        Ok(established) => Ok((established, reply)),
        Err(InitiatorError::WrongCode) if stored.is_some() => Err(OpenSessionError::ResumptionRejected),
        Err(e) => Err(OpenSessionError::Handshake(e)),
    }
}

/// Reads the manifest, and the resumption if the sender grants one.
async fn read_offer(session: &mut ConfirmedSession) -> Result<(Manifest, Option<Resumption>), ReceiveError> {
    session.grant_credit()?; // the first credit follows flight 3 at once
    let (mut decoder, mut stall) = (ManifestDecoder::default(), StallDetector::default());
    let stream = session.reader.stream();
    loop {
        let next = session.writer.flush_while(session.reader.read_record(&mut session.opener));
        let Ok(next) = timeout(StallDetector::STEP, next).await else {
            let sender = if stream.is_broken() { SilentSender::Blocked } else { SilentSender::CanSend };
            if stall.note_silent_step(sender) {
                return Err(ReceiveError::Stalled);
            }
            continue;
        };
        stall.note_arrival();
        let record = next?.ok_or(StreamError::EndedEarly)?;
        if decoder.push_record(&record).map_err(ReceiveError::Final)? {
            return decoder.finish().map_err(ReceiveError::Final);
        }
        session.grant_credit()?;
    }
}

/// Why a session could not be opened.
#[derive(Debug)]
pub(super) enum OpenSessionError {
    /// There is no connection to the relay.
    Dial(Error),
    /// The relay did not connect this receiver to the sender.
    Relay(RequestError),
    /// The handshake with the sender failed.
    Handshake(InitiatorError),
    /// The sender does not accept the stored resumption. This is final: the code is not tried instead.
    ResumptionRejected,
    /// The confirmed session ended before the offer was complete.
    Offer(ReceiveError),
}

impl OpenSessionError {
    /// Returns how long the relay or the sender asks to wait, if it serves as many clients as it may.
    pub(super) fn limit_wait(&self) -> Option<Duration> {
        match self {
            Self::Relay(e) => e.limit_wait(),
            Self::Handshake(e) => e.busy_wait(),
            _ => None,
        }
    }

    /// Whether another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Dial(e) => e.is_transient(),
            Self::Relay(e) => e.is_transient(),
            Self::Handshake(e) => e.is_transient(),
            Self::ResumptionRejected => false,
            Self::Offer(e) => e.is_transient(),
        }
    }
}

impl From<RequestError> for OpenSessionError {
    fn from(e: RequestError) -> Self {
        Self::Relay(e)
    }
}

impl From<ReceiveError> for OpenSessionError {
    fn from(e: ReceiveError) -> Self {
        Self::Offer(e)
    }
}

impl From<OpenSessionError> for Error {
    fn from(e: OpenSessionError) -> Self {
        match e {
            OpenSessionError::Dial(e) => e,
            OpenSessionError::Relay(e) => e.into(),
            OpenSessionError::Handshake(e) => e.into(),
            OpenSessionError::ResumptionRejected => resumption_rejected(),
            OpenSessionError::Offer(e) => e.into(),
        }
    }
}
