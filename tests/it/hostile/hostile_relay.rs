//! A relay that tampers with the streams that it bridges.
//!
//! It splits each direction into units: the two frames in the clear, then the sealed records, whose boundaries are
//! visible. For each unit and at the end of the stream, the [`Tamper`] function decides what to forward.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use qshare::internals::{
    code::Slot,
    net::{Connection, Listener, RecvHalf, RelayIdentity, SendHalf, StreamError, TransportOptions, listen},
    route::Route,
    state::StateDir,
    wire::{
        HEADER, Message,
        frame::read_header,
        peer::{AttachReply, AttachRequest, INITIAL_CREDIT},
        relay::{
            ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, RejectReason,
            Rejected, RelayLimits, SourceTag,
        },
    },
};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::bytes_of;

/// The limit that this relay announces: the initial credit. So a receiver sends its first credit behind the request,
/// and the sender needs it to complete a file of 400 kB.
pub(crate) const BRIDGE_BYTES: u64 = INITIAL_CREDIT;

/// The number of the first unit that is a record.
pub(crate) const RECORDS: usize = 2;

/// The length of a record's header.
const RECORD_HEADER: usize = 4;

/// The length of a record's tag.
const TAG: usize = 16;

/// The direction of a bridged stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamDirection {
    ToReceiver,
    ToSender,
}

/// What the relay forwards in place of a unit, and what it does after that.
pub(crate) struct Forwarded(pub(crate) Vec<u8>, pub(crate) Then);

/// What the relay does after it has forwarded a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It continues with the next unit.
    Continue,
    /// It finishes the stream.
    Finish,
    /// It resets the stream.
    Reset,
    /// It closes its endpoint.
    Die,
}

/// Decides what to forward. The arguments are the direction, the number of the unit, and its bytes, which are empty at
/// the end of the stream.
pub(crate) type Tamper = Arc<dyn Fn(StreamDirection, usize, Vec<u8>) -> Forwarded + Send + Sync>;

/// Returns a function that forwards everything unchanged.
pub(crate) fn no_tampering() -> Tamper {
    Arc::new(|_, _, bytes| forward(bytes))
}

/// Forwards bytes unchanged, and finishes the stream at its end.
pub(crate) fn forward(bytes: Vec<u8>) -> Forwarded {
    let then = if bytes.is_empty() { Then::Finish } else { Then::Continue };
    Forwarded(bytes, then)
}

/// How the relay replies to a request.
#[derive(Clone)]
pub(crate) enum ReplyPlan {
    /// A correct reply with this limit.
    Limit(u64),
    /// These bytes, after which the stream stays open or ends.
    Raw(Vec<u8>, Then),
    /// No reply.
    Silence,
}

impl ReplyPlan {
    /// Returns a rejection for this reason.
    pub(crate) fn rejected(reason: RejectReason) -> Self {
        Self::Raw(bytes_of(&Rejected { reason, retry_after: 1 }), Then::Finish)
    }
}

/// What the relay does with one receiver's request.
pub(crate) struct BridgePlan {
    pub(crate) reply: ReplyPlan,
    /// The slot of the sender to which the relay connects it in place of the right one.
    pub(crate) redirect: Option<Slot>,
    pub(crate) tamper: Tamper,
}

impl BridgePlan {
    /// Returns a plan that tampers with the bridged stream.
    pub(crate) fn tampering(tamper: Tamper) -> Self {
        Self { reply: ReplyPlan::Limit(BRIDGE_BYTES), redirect: None, tamper }
    }

    /// Returns a plan that replies like this and does not tamper.
    pub(crate) fn replying(reply: ReplyPlan) -> Self {
        Self { reply, redirect: None, tamper: no_tampering() }
    }
}

/// A running relay. It ends with its test.
pub(crate) struct HostileRelay {
    addr: SocketAddr,
    shared: Arc<SharedRelay>,
    _home: TempDir,
}

#[derive(Default)]
struct SharedRelay {
    state: Mutex<RelayState>,
    /// Notified when a sender registers.
    registered: Notify,
}

#[derive(Default)]
struct RelayState {
    senders: HashMap<Slot, Connection>,
    registered: u32,
    receivers: VecDeque<BridgePlan>,
    registrations: VecDeque<ReplyPlan>,
    log: Vec<u8>,
}

impl HostileRelay {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        let listener =
            Arc::new(listen((Ipv4Addr::LOCALHOST, 0).into(), &identity, TransportOptions::default()).unwrap());
        let shared = Arc::new(SharedRelay::default());
        let (accepting, clients) = (listener.clone(), shared.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(serve_client(accepting.clone(), incoming, clients.clone()));
            }
        });
        Self { addr: listener.local_addr().unwrap(), shared, _home: home }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Adds a plan for a further receiver. Receivers without a plan are served honestly.
    pub(crate) fn plan(&self, plan: BridgePlan) {
        self.shared.lock().receivers.push_back(plan);
    }

    /// Sets the reply to a further sender. Senders without one are registered.
    pub(crate) fn plan_registration(&self, answer: ReplyPlan) {
        self.shared.lock().registrations.push_back(answer);
    }

    /// Opens a stream to a sender, as if a receiver connected from the network `source`. Waits until the sender is
    /// registered.
    pub(crate) async fn open_stream(&self, slot: Slot, source: SourceTag) -> Result<(SendHalf, RecvHalf), StreamError> {
        let sender = loop {
            let registered = self.shared.registered.notified();
            if let Some(sender) = self.shared.lock().senders.get(&slot).cloned() {
                break sender;
            }
            registered.await;
        };
        let mut stream = sender.open_stream().await?;
        stream.0.write(bytes_of(&IncomingDownload { source, route: Route::Relay }).into()).await?;
        Ok(stream)
    }

    /// Returns all bytes that the relay has received.
    pub(crate) fn log(&self) -> Vec<u8> {
        self.shared.lock().log.clone()
    }
}

impl SharedRelay {
    fn lock(&self) -> MutexGuard<'_, RelayState> {
        self.state.lock().unwrap()
    }

    fn log(&self, bytes: &[u8]) {
        self.lock().log.extend_from_slice(bytes);
    }
}

async fn serve_client(listener: Arc<Listener>, incoming: quinn::Incoming, shared: Arc<SharedRelay>) {
    let Ok(connection) = listener.complete_handshake(incoming).await else { return };
    while let Ok(stream) = connection.accept_stream().await {
        let (listener, connection, shared) = (listener.clone(), connection.clone(), shared.clone());
        tokio::spawn(async move {
            let _ = handle_request(listener, connection, stream, shared).await; // the client may disconnect at any time
        });
    }
}

async fn handle_request(
    listener: Arc<Listener>,
    connection: Connection,
    (send, mut recv): (SendHalf, RecvHalf),
    shared: Arc<SharedRelay>,
) -> Result<(), StreamError> {
    let first = recv.read_frame(MAX_BODY).await?;
    shared.log(first.bytes());
    if first.frame().kind == RegisterRequest::TYPE {
        let RegisterRequest { ticket, .. } = first.frame().decode()?;
        return handle_registration(connection, ticket, (send, recv), shared).await;
    }
    let ConnectRequest { slot, .. } = first.frame().decode()?;
    let (plan, sender) = {
        let mut state = shared.lock();
        let plan = state.receivers.pop_front().unwrap_or_else(|| BridgePlan::tampering(no_tampering()));
        let sender = state.senders.get(&plan.redirect.unwrap_or(slot)).cloned();
        (plan, sender)
    };
    let Some(sender) = sender else {
        return send_reply(&connection, (send, recv), ReplyPlan::rejected(RejectReason::NotFound)).await;
    };
    let limits = match plan.reply {
        ReplyPlan::Limit(bridge_bytes) => RelayLimits { bridge_bytes },
        other => return send_reply(&connection, (send, recv), other).await,
    };
    let mut near = (send, recv);
    let mut far = sender.open_stream().await?;
    // Each receiver connects from a network of its own.
    far.0
        .write(bytes_of(&IncomingDownload { source: SourceTag::alone(rand::random()), route: Route::Relay }).into())
        .await?;
    near.0.write(bytes_of(&ConnectReply { limits, pass: Vec::new(), route: Route::Relay }).into()).await?;
    let there =
        TamperedStream { direction: StreamDirection::ToSender, from: near.1, to: far.0, shared: shared.clone() };
    let back = TamperedStream { direction: StreamDirection::ToReceiver, from: far.1, to: near.0, shared };
    tokio::join!(there.run(listener.clone(), plan.tamper.clone()), back.run(listener, plan.tamper));
    Ok(())
}

async fn handle_registration(
    connection: Connection,
    ticket: Option<Vec<u8>>,
    (mut send, mut recv): (SendHalf, RecvHalf),
    shared: Arc<SharedRelay>,
) -> Result<(), StreamError> {
    let claimed = ticket.and_then(|ticket| Slot::try_from(<[u8; 4]>::try_from(ticket).ok()?).ok());
    let (planned, slot) = {
        let mut state = shared.lock();
        state.registered += 1;
        let slot = claimed.unwrap_or_else(|| Slot::from_number(state.registered * 7_919));
        (state.registrations.pop_front(), slot)
    };
    if let Some(planned) = planned {
        return send_reply(&connection, (send, recv), planned).await;
    }
    shared.lock().senders.insert(slot, connection);
    shared.registered.notify_waiters();
    let limits = RelayLimits { bridge_bytes: BRIDGE_BYTES };
    let ticket = slot.as_str().as_bytes().to_vec();
    send.write(bytes_of(&RegisterReply { slot, ticket, limits }).into()).await?;
    let _ = recv.read().await;
    shared.lock().senders.remove(&slot);
    send.finish();
    Ok(())
}

async fn send_reply(
    connection: &Connection,
    (mut send, _recv): (SendHalf, RecvHalf),
    reply: ReplyPlan,
) -> Result<(), StreamError> {
    if let ReplyPlan::Raw(bytes, then) = reply {
        send.write(bytes.into()).await?;
        match then {
            Then::Finish => send.finish(),
            Then::Reset => send.reset(3),
            Then::Continue | Then::Die => {}
        }
    }
    connection.closed().await;
    Ok(())
}

/// One direction of a bridge.
struct TamperedStream {
    direction: StreamDirection,
    from: RecvHalf,
    to: SendHalf,
    shared: Arc<SharedRelay>,
}

impl TamperedStream {
    async fn run(mut self, listener: Arc<Listener>, tamper: Tamper) {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        let mut is_attached = false;
        for number in 0.. {
            let unit = tokio::select! {
                why = &mut stopped => return self.from.stop(reset_code_of(&why)),
                unit = next_unit(&mut self.from, number, is_attached) => unit,
            };
            let bytes = match unit {
                Ok(bytes) => bytes,
                Err(e) => return self.to.reset(reset_code_of(&e)),
            };
            self.shared.log(&bytes);
            is_attached |= number == 0 && matches!(bytes.first(), Some(&(AttachRequest::TYPE | AttachReply::TYPE)));
            let is_end = bytes.is_empty();
            let Forwarded(bytes, then) = tamper(self.direction, number, bytes);
            let written = tokio::select! {
                why = &mut stopped => Err(why),
                written = self.to.write(bytes.into()) => written,
            };
            if let Err(e) = written {
                return self.from.stop(reset_code_of(&e));
            }
            match then {
                Then::Continue if !is_end => continue,
                Then::Continue => return std::future::pending().await,
                Then::Finish => self.to.finish(),
                Then::Reset => self.to.reset(1),
                Then::Die => listener.close(0),
            }
            // The other direction continues. This one is drained, so that its writer is not blocked.
            while let Ok(Some(_)) = self.from.read().await {}
            return;
        }
    }
}

fn reset_code_of(e: &StreamError) -> u32 {
    match e {
        StreamError::Aborted(code) => *code,
        _ => 2,
    }
}

/// Reads the next frame or record. Returns no bytes at the end of the stream. Behind the frame that attaches a session,
/// the bytes may begin in the middle of a record, so any bytes are a unit.
async fn next_unit(from: &mut RecvHalf, number: usize, is_attached: bool) -> Result<Vec<u8>, StreamError> {
    if is_attached {
        return Ok(from.read().await?.unwrap_or_default().to_vec());
    }
    let mut unit = Vec::new();
    let header = if number < RECORDS { HEADER } else { RECORD_HEADER };
    match from.fill(&mut unit, header).await {
        Ok(()) => {}
        Err(StreamError::EndedEarly) => return Ok(unit.to_vec()),
        Err(e) => return Err(e),
    }
    let length = if number < RECORDS {
        read_header(unit[..].try_into().unwrap()).1 as usize
    } else {
        u32::from_be_bytes([0, unit[1], unit[2], unit[3]]) as usize + TAG
    };
    match from.fill(&mut unit, header + length).await {
        Ok(()) | Err(StreamError::EndedEarly) => Ok(unit.to_vec()),
        Err(e) => Err(e),
    }
}
