//! The receiver's side of a session that outlives its stream: watches the line, and brings another stream.

use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::transfer::Events;
use crate::transfer::backoff::{LastConnection, Outage, RetriedWork, RetryDeadline, RetryDriver, Urgency};
use crate::transfer::receiver::resumption_store::ResumptionStore;
use crate::transfer::relay_request::{RequestError, send_relay_request};
use crate::transfer::session::resumable_stream::ResumableStream;
use crate::transfer::timeouts::{LEG_SILENT, REPLY};
use crate::transfer::user_errors::{explain_stream_error, sender_silent};
use crate::{
    code::Slot,
    crypto::AttachKey,
    error::Error,
    event::Event,
    net::{Connection, Dialer, RelayConnection, StreamError},
    wire::{
        frame,
        peer::{Alert, AlertReason, AttachReply, AttachRequest, MAX_CLEAR_BODY},
        relay::{ConnectReply, ConnectRequest, RejectReason},
    },
};

/// How a receiver comes back to its relay after a cut.
#[derive(Clone)]
pub struct ReconnectConfig {
    /// Makes a connection to it.
    pub dialer: Dialer,
    /// For how long it is tried; zero: not at all.
    pub retry_for: Duration,
    /// Where is kept what another process comes back with, if anywhere.
    pub resumptions: Option<ResumptionStore>,
}

/// What is kept going.
pub(crate) struct ReattachContext {
    pub(crate) slot: Slot,
    pub(crate) carrier: ResumableStream,
    pub(crate) attaching: AttachKey,
    pub(crate) connection: Connection,
    /// Shows the relay that this receiver was with this sender.
    pub(crate) pass: Vec<u8>,
}

/// Why no other stream could be brought.
#[derive(Debug, Clone)]
pub(crate) enum ReattachFailure {
    /// It was tried for long enough, or cannot be.
    Failed(Error),
    /// The sender is there and does not know the session: its process is another one.
    Unknown,
}

/// Keeps a session going for as long as this lives.
pub(crate) struct Reconnector {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    verdict: Arc<OnceLock<ReattachFailure>>,
    happened: mpsc::Receiver<Event>,
    /// The connection on which the session began.
    connected: Option<RelayConnection>,
}

impl Reconnector {
    /// Begins to.
    pub(crate) fn new(session: ReattachContext, back: ReconnectConfig) -> Self {
        session.carrier.enable_reattach();
        let (events, happened) = Events::channel();
        let verdict = Arc::new(OnceLock::new());
        let (stop, stopped) = oneshot::channel();
        let retry = RetryDriver::new(back.dialer.clone(), events, Urgency::Busy);
        let deadline = RetryDeadline::after(Duration::ZERO);
        let mut keeping = ReconnectTask { session, back, retry, deadline, received: 0, number: 0, connected: None };
        let to_set = Arc::clone(&verdict);
        let task = tokio::spawn(async move {
            tokio::select! {
                failed = keeping.run() => {
                    let _ = to_set.set(failed);
                    let why = keeping.session.carrier.wait_until_broken().await;
                    keeping.session.carrier.close(why);
                }
                _ = stopped => {}
            }
            if let Some(connected) = keeping.connected {
                connected.close().await;
            }
        });
        Self { task, stop, verdict, happened, connected: None }
    }

    /// Takes the connection on which the session began, to take leave over it too.
    pub(crate) fn hold(&mut self, connected: RelayConnection) {
        self.connected = Some(connected);
    }

    /// Forwards the events of the reconnect task to `events` until the task ends.
    pub(crate) async fn report_events(&mut self, events: &Events) {
        while let Some(event) = self.happened.recv().await {
            events.report(event).await;
        }
    }

    /// Why no other stream could be brought, where that is so.
    pub(crate) fn verdict(&self) -> Option<&ReattachFailure> {
        self.verdict.get()
    }

    /// The session is over: takes leave of the relay.
    pub(crate) async fn close(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
        if let Some(connected) = self.connected {
            connected.close().await;
        }
    }
}

struct ReconnectTask {
    session: ReattachContext,
    back: ReconnectConfig,
    retry: RetryDriver,
    /// When this outage has lasted for too long.
    deadline: RetryDeadline,
    /// What was here at the last outage.
    received: u64,
    /// Of the last question.
    number: u64,
    /// Keeps the socket of a later connection open.
    connected: Option<RelayConnection>,
}

/// How one try to come back failed.
enum AttachError {
    /// Another one may do better.
    Again(Error),
    /// None will.
    For(ReattachFailure),
}

impl ReconnectTask {
    /// Brings one stream after another, until none can be brought.
    async fn run(&mut self) -> ReattachFailure {
        loop {
            let why = tokio::select! {
                why = self.session.carrier.wait_until_broken() => why,
                lost = self.session.connection.wait_until_silent(LEG_SILENT) => {
                    self.session.carrier.mark_broken(lost.into());
                    self.session.carrier.wait_until_broken().await
                }
            };
            if let Err(failed) = self.come_back(&why).await {
                return failed;
            }
        }
    }

    async fn come_back(&mut self, why: &StreamError) -> Result<(), ReattachFailure> {
        let retry_for = self.back.retry_for;
        let reason = explain_stream_error(why);
        if retry_for.is_zero() {
            return Err(ReattachFailure::Failed(reason));
        }
        let received = self.session.carrier.received_bytes();
        let last_connection = match received > std::mem::replace(&mut self.received, received) {
            true => LastConnection::MadeProgress,
            false => LastConnection::MadeNoProgress,
        };
        // The deadline moves only after progress: a relay that accepts each connection and cuts it at once is not tried
        // for ever.
        if self.retry.begin_outage(last_connection).await == Outage::New {
            self.deadline = RetryDeadline::after(retry_for);
        }
        let is_dead = matches!(why, StreamError::Lost(_));
        let mut reattachment = Reattachment {
            session: &mut self.session,
            number: &mut self.number,
            connected: &mut self.connected,
            is_dead,
        };
        match self.retry.run_until(self.deadline, reason, &mut reattachment).await {
            Ok(outcome) => outcome,
            Err(timeout) => Err(ReattachFailure::Failed(timeout)),
        }
    }
}

/// The attempts to reattach a session in one outage.
struct Reattachment<'a> {
    session: &'a mut ReattachContext,
    number: &'a mut u64,
    connected: &'a mut Option<RelayConnection>,
    /// Whether the connection to the relay is of no use any more.
    is_dead: bool,
}

impl RetriedWork for Reattachment<'_> {
    type Output = Result<(), ReattachFailure>;

    fn urgency(&self) -> Urgency {
        Urgency::Busy
    }

    /// Makes one attempt, over a new connection if the old one is dead.
    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error> {
        if self.is_dead {
            self.session.connection.close();
            let connected = driver.connect(|| Urgency::Busy).await;
            self.session.connection = connected.connection.clone();
            *self.connected = Some(connected);
        }
        match self.attach_or_hear_nothing().await {
            Ok(()) => {
                driver.note_success();
                ControlFlow::Break(Ok(()))
            }
            Err(AttachError::For(verdict)) => ControlFlow::Break(Err(verdict)),
            Err(AttachError::Again(e)) => {
                self.is_dead = self.session.connection.is_closed();
                ControlFlow::Continue(e)
            }
        }
    }
}

impl Reattachment<'_> {
    /// [`Reattachment::attach`]; a connection that is silent is closed.
    async fn attach_or_hear_nothing(&mut self) -> Result<(), AttachError> {
        let connection = self.session.connection.clone();
        tokio::select! {
            attached = self.attach() => attached,
            lost = connection.wait_until_silent(LEG_SILENT) => {
                connection.close(); // a packet over a new one is there before the next of this one
                Err(AttachError::Again(explain_stream_error(&lost.into())))
            }
        }
    }

    /// Asks the sender to go on, over the connection that there is.
    async fn attach(&mut self) -> Result<(), AttachError> {
        let ReattachContext { slot, carrier, attaching, connection, pass } = &self.session;
        *self.number += 1;
        let received = carrier.received_bytes();
        let question = AttachRequest {
            id: attaching.id(),
            number: *self.number,
            received,
            tag: attaching.request_tag(*self.number, received),
        };
        let mut bytes = Vec::new();
        frame::encode(&question, &mut bytes).map_err(|e| AttachError::Again(explain_stream_error(&e.into())))?;
        let connect = ConnectRequest { slot: *slot, token: None, pass: Some(pass.clone()) };
        let asked = send_relay_request(connection, &connect, &Bytes::from(bytes)).await;
        let (send, mut recv, ConnectReply { .. }) = asked.map_err(|refused| match refused {
            RequestError::Rejected(RejectReason::Ended) => AttachError::For(ReattachFailure::Failed(refused.into())),
            other => AttachError::Again(other.into()),
        })?;
        let answer = timeout(REPLY, recv.read_frame(MAX_CLEAR_BODY)).await;
        let answer = answer
            .map_err(|_| AttachError::Again(sender_silent()))?
            .map_err(|e| AttachError::Again(explain_stream_error(&e)))?;
        if let Ok(Alert { reason: AlertReason::UnknownSession, .. }) = answer.frame().decode() {
            return Err(AttachError::For(ReattachFailure::Unknown));
        }
        let nonsense = || AttachError::Again(explain_stream_error(&StreamError::EndedEarly));
        let answer: AttachReply = answer.frame().decode().map_err(|_| nonsense())?;
        attaching.verify_reply(&question.tag, answer.received, &answer.tag).map_err(|_| nonsense())?;
        carrier.attach(send, recv, answer.received, received).map_err(|_| nonsense())
    }
}
