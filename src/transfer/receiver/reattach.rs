//! Reattaches a session: the receiver opens another stream to the sender and continues the session on it.
//!
//! A sender that was restarted does not know the session and says so in the clear. Anyone between the two ends can
//! forge that, so it is only a hint. The receiver keeps the session until the sender has proved its identity with the
//! resumption key.

use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    code::Slot,
    crypto::{AttachKey, Resumption},
    error::{Error, Kind},
    net::{Connection, Dialer, PeerWaitError, RelayConnection, StreamError, wait_on_peer},
    route::Route,
    sync::Mutex,
    transfer::{
        backoff::{RetriedWork, RetryDriver, Urgency},
        handshake::{Credential, Initiator, InitiatorOptions},
        relay_request::{RequestError, send_relay_request},
        session::resumable_stream::ResumableStream,
        timeouts::{LEG_SILENCE_TIMEOUT, REPLY_TIMEOUT},
        user_errors::{explain_stream_error, sender_silent},
    },
    wire::{
        WireError, frame,
        peer::{Alert, AlertReason, AttachReply, AttachRequest, MAX_CLEAR_BODY},
        relay::{ConnectReply, ConnectRequest, RejectReason, Rejected},
    },
};

/// The parts of a session that its reattachment needs.
pub(super) struct ReattachContext {
    pub(super) slot: Slot,
    pub(super) stream: ResumableStream,
    pub(super) attach_key: AttachKey,
    /// The current connection to the relay.
    pub(super) connection: Connection,
    /// Proves to the relay that this receiver was bridged to this sender before.
    pub(super) pass: Vec<u8>,
    /// The route of the current stream.
    pub(super) route: Arc<Mutex<Route>>,
    /// The credentials for a resumption, once the sender has granted them.
    pub(super) resumption: Arc<OnceLock<Resumption>>,
}

/// Why a session cannot be reattached.
#[derive(Debug, Clone)]
pub(super) enum ReattachFailure {
    /// Retries timed out, are disabled, or are of no use.
    Failed(Error),
    /// The sender was restarted and does not know the session. It has proved that it granted the resumption.
    UnknownSession,
}

/// Reattaches one session, in one outage after another.
pub(super) struct Reattacher {
    pub(super) context: ReattachContext,
    /// Connects to a relay that leads to the sender.
    dialer: Dialer,
    /// The newest connection that was opened for this session. Dropping it closes its socket.
    pub(super) connected: Option<RelayConnection>,
    /// The number of the last request. It increases with every request.
    number: u64,
    /// Whether the next attempt needs another connection to the relay.
    needs_connection: bool,
}

impl Reattacher {
    /// Creates a reattacher that has sent no request yet.
    pub(super) fn new(context: ReattachContext, dialer: Dialer) -> Self {
        Self { context, dialer, connected: None, number: 0, needs_connection: false }
    }

    /// Begins an outage, whose cause decides whether the connection can still be used.
    pub(super) fn begin_outage(&mut self, cause: &StreamError) {
        self.needs_connection = matches!(cause, StreamError::Lost(_));
    }

    /// Moves the session to another connection, and returns whether that succeeded. Otherwise the session stays where
    /// it is, and the connection is closed.
    pub(super) async fn move_to(&mut self, better: RelayConnection) -> bool {
        let former = std::mem::replace(&mut self.context.connection, better.connection.clone());
        match timeout(REPLY_TIMEOUT, self.reattach()).await {
            Ok(Ok(())) => {
                self.connected = Some(better);
                true
            }
            _ => {
                better.connection.close();
                self.context.connection = former;
                false
            }
        }
    }

    /// Reattaches the session, and closes the connection if it is silent meanwhile.
    async fn reattach_unless_silent(&mut self) -> Result<(), AttemptError> {
        let connection = self.context.connection.clone();
        tokio::select! {
            reattached = self.reattach_or_prove_restart() => reattached,
            lost = connection.wait_until_silent(LEG_SILENCE_TIMEOUT) => {
                connection.close(); // a packet on a new connection arrives before the next one on this connection
                Err(AttemptError::Transient(explain_stream_error(&lost.into())))
            }
        }
    }

    /// Reattaches the session. If the sender does not know it, finds out whether that is true.
    async fn reattach_or_prove_restart(&mut self) -> Result<(), AttemptError> {
        match self.reattach().await {
            Err(AttemptError::UnknownSession) if self.sender_confirms_resumption().await => {
                Err(AttemptError::Fatal(ReattachFailure::UnknownSession))
            }
            other => other,
        }
    }

    /// Opens a new stream on the current connection and requests that the sender continue the session on it.
    async fn reattach(&mut self) -> Result<(), AttemptError> {
        let ReattachContext { slot, stream, attach_key, connection, pass, route: current_route, .. } = &self.context;
        self.number += 1;
        let received = stream.received_bytes();
        let tag = attach_key.request_tag(self.number, received);
        let request = AttachRequest { id: attach_key.id(), number: self.number, received, tag };
        let mut bytes = Vec::new();
        frame::encode(&request, &mut bytes)?;
        let connect = ConnectRequest { slot: *slot, token: None, pass: Some(pass.clone()) };
        let (send, mut recv, ConnectReply { route, pass: new_pass, .. }) =
            send_relay_request(connection, &connect, &bytes).await?;
        let reply = wait_on_peer(REPLY_TIMEOUT, [], recv.read_frame(MAX_CLEAR_BODY)).await?;
        if let Ok(Alert { reason: AlertReason::UnknownSession, .. }) = reply.frame().decode() {
            return Err(AttemptError::UnknownSession);
        }
        // Anyone between the two ends can write an invalid reply, so it is a failure of the stream.
        let invalid = || StreamError::EndedEarly;
        let reply: AttachReply = reply.frame().decode().map_err(|_| invalid())?;
        attach_key.verify_reply(&request.tag, reply.received, &reply.tag).map_err(|_| invalid())?;
        connection.raise_receive_window();
        stream.attach(send, recv, reply.received, received).map_err(|_| invalid())?;
        *current_route.lock() = route;
        self.context.pass = new_pass;
        Ok(())
    }

    /// Returns whether the sender proves with its tag that it knows the resumption key. Such a proof ends the session.
    async fn sender_confirms_resumption(&self) -> bool {
        let ReattachContext { slot, connection, pass, resumption, .. } = &self.context;
        let Some(resumption) = resumption.get() else { return false };
        let credential = Credential::Resumption { slot: *slot, resumption };
        let Ok(initiator) = Initiator::new(credential, InitiatorOptions::default()) else { return false };
        let connect = ConnectRequest { slot: *slot, token: None, pass: Some(pass.clone()) };
        match send_relay_request(connection, &connect, initiator.flight_1()).await {
            Ok((send, recv, ConnectReply { .. })) => initiator.complete(send, recv).await.is_ok(),
            Err(_) => false,
        }
    }
}

impl RetriedWork for Reattacher {
    type Output = Result<(), ReattachFailure>;

    fn urgency(&self) -> Urgency {
        Urgency::Busy
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error> {
        if self.needs_connection {
            self.context.connection.close();
            let connected = driver.connect(&self.dialer, || Urgency::Busy).await;
            self.context.connection = connected.connection.clone();
            self.connected = Some(connected);
        }
        let former_route = *self.context.route.lock();
        match self.reattach_unless_silent().await {
            Ok(()) => {
                driver.note_success();
                driver.report_route(former_route, *self.context.route.lock());
                ControlFlow::Break(Ok(()))
            }
            Err(AttemptError::Fatal(failure)) => ControlFlow::Break(Err(failure)),
            Err(AttemptError::UnknownSession) => {
                self.needs_connection = self.context.connection.is_closed();
                ControlFlow::Continue(Error::new(Kind::Network, "the sender does not know this download"))
            }
            Err(AttemptError::Limited(reason, wait)) => {
                driver.delay_next(wait);
                self.needs_connection = self.context.connection.is_closed();
                ControlFlow::Continue(reason)
            }
            Err(AttemptError::Transient(reason)) => {
                self.needs_connection = self.context.connection.is_closed();
                ControlFlow::Continue(reason)
            }
        }
    }
}

/// Why an attempt failed.
enum AttemptError {
    /// Another attempt may succeed.
    Transient(Error),
    /// A limit of the relay refuses the attempt. A retry may succeed after this time.
    Limited(Error, Duration),
    /// No other attempt can succeed.
    Fatal(ReattachFailure),
    /// The sender, or anyone between the two ends, claims that there is no such session.
    UnknownSession,
}

impl From<RequestError> for AttemptError {
    fn from(e: RequestError) -> Self {
        match e {
            RequestError::Rejected(Rejected { reason: RejectReason::Ended, .. }) => {
                Self::Fatal(ReattachFailure::Failed(e.into()))
            }
            other => match other.limit_wait() {
                Some(wait) => Self::Limited(other.into(), wait),
                None => Self::Transient(other.into()),
            },
        }
    }
}

impl From<PeerWaitError> for AttemptError {
    fn from(e: PeerWaitError) -> Self {
        match e {
            PeerWaitError::Silent => Self::Transient(sender_silent()),
            PeerWaitError::Stream(e) => e.into(),
        }
    }
}

impl From<StreamError> for AttemptError {
    fn from(e: StreamError) -> Self {
        Self::Transient(explain_stream_error(&e))
    }
}

impl From<WireError> for AttemptError {
    fn from(e: WireError) -> Self {
        StreamError::from(e).into()
    }
}
