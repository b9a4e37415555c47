//! A relay that does what it likes with the streams it bridges.
//!
//! It cuts each direction into units: first the two frames in the clear, then sealed records, of which anybody can see
//! where they begin and end. For each unit, and once more at the end of the stream, the [`Tamper`] says what goes on.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use qshare::{
    code::Slot,
    net::{Connection, Listener, RecvHalf, RelayIdentity, SendHalf, StreamError, TransportOptions, listen},
    state::StateDir,
    wire::{
        HEADER, Message,
        frame::read_header,
        relay::{
            ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, RejectReason,
            Rejected, RelayLimits,
        },
    },
};
use tempfile::TempDir;

use crate::support::bytes_of;

/// What an honest relay of today allows.
pub(crate) const BRIDGE_BYTES: u64 = 16 * 1024 * 1024;

/// The first unit that is a record.
pub(crate) const RECORDS: usize = 2;

/// Bytes of a record's header, and of its tag.
const RECORD_HEADER: usize = 4;
const TAG: usize = 16;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamDirection {
    ToReceiver,
    ToSender,
}

/// What becomes of a unit: these bytes go on in its place, and then …
pub(crate) struct Forwarded(pub(crate) Vec<u8>, pub(crate) Then);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Continue,
    /// The stream ends as if it were complete.
    Finish,
    /// The stream is reset.
    Reset,
    /// The relay dies.
    Die,
}

/// BridgeDirection, number of the unit, its bytes (none at the end of the stream).
pub(crate) type Tamper = Arc<dyn Fn(StreamDirection, usize, Vec<u8>) -> Forwarded + Send + Sync>;

/// Passes everything on.
pub(crate) fn no_tampering() -> Tamper {
    Arc::new(|_, _, bytes| forward(bytes))
}

/// What goes on as it is; the end of the stream, too.
pub(crate) fn forward(bytes: Vec<u8>) -> Forwarded {
    let then = if bytes.is_empty() { Then::Finish } else { Then::Continue };
    Forwarded(bytes, then)
}

/// How the relay answers a request.
#[derive(Clone)]
pub(crate) enum ReplyPlan {
    /// As it should, with this limit.
    Limit(u64),
    /// With these bytes; then the stream stays open, or is finished.
    Raw(Vec<u8>, Then),
    Silence,
}

impl ReplyPlan {
    pub(crate) fn rejected(reason: RejectReason) -> Self {
        Self::Raw(bytes_of(&Rejected { reason, retry_after: 1 }), Then::Finish)
    }
}

/// What the relay does with one receiver.
pub(crate) struct BridgePlan {
    pub(crate) answer: ReplyPlan,
    /// The sender it is led to instead of the right one.
    pub(crate) to: Option<Slot>,
    pub(crate) tamper: Tamper,
}

impl BridgePlan {
    pub(crate) fn tamper(tamper: Tamper) -> Self {
        Self { answer: ReplyPlan::Limit(BRIDGE_BYTES), to: None, tamper }
    }

    pub(crate) fn answer(answer: ReplyPlan) -> Self {
        Self { answer, to: None, tamper: no_tampering() }
    }
}

/// The relay. It ends with its test, or when it is told to.
pub(crate) struct HostileRelay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _home: TempDir,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
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
        let shared = Arc::new(Shared::default());
        let (accepting, clients) = (listener.clone(), shared.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                tokio::spawn(client(accepting.clone(), incoming, clients.clone()));
            }
        });
        Self { addr: listener.local_addr().unwrap(), shared, _home: home }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to do with the next receiver that nobody has planned for.
    pub(crate) fn plan(&self, plan: BridgePlan) {
        self.shared.lock().receivers.push_back(plan);
    }

    /// How to answer the next sender.
    pub(crate) fn answer_sender(&self, answer: ReplyPlan) {
        self.shared.lock().registrations.push_back(answer);
    }

    /// Everything that was ever sent to this relay.
    pub(crate) fn log(&self) -> Vec<u8> {
        self.shared.lock().log.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn log(&self, bytes: &[u8]) {
        self.lock().log.extend_from_slice(bytes);
    }
}

async fn client(listener: Arc<Listener>, incoming: quinn::Incoming, shared: Arc<Shared>) {
    let Ok(connection) = listener.complete_handshake(incoming).await else { return };
    while let Ok(stream) = connection.accept_stream().await {
        let (listener, connection, shared) = (listener.clone(), connection.clone(), shared.clone());
        tokio::spawn(async move {
            let _ = request(listener, connection, stream, shared).await; // clients go as they like
        });
    }
}

async fn request(
    listener: Arc<Listener>,
    connection: Connection,
    (send, mut recv): (SendHalf, RecvHalf),
    shared: Arc<Shared>,
) -> Result<(), StreamError> {
    let first = recv.read_frame(MAX_BODY).await?;
    shared.log(first.bytes());
    if first.frame().kind == RegisterRequest::TYPE {
        return register(connection, (send, recv), shared).await;
    }
    let ConnectRequest { slot, .. } = first.frame().decode()?;
    let (plan, sender) = {
        let mut state = shared.lock();
        let plan = state.receivers.pop_front().unwrap_or_else(|| BridgePlan::tamper(no_tampering()));
        let sender = state.senders.get(&plan.to.unwrap_or(slot)).cloned();
        (plan, sender)
    };
    let Some(sender) = sender else {
        return answer(&connection, (send, recv), ReplyPlan::rejected(RejectReason::NotFound)).await;
    };
    let limits = match plan.answer {
        ReplyPlan::Limit(bridge_bytes) => RelayLimits { bridge_bytes },
        other => return answer(&connection, (send, recv), other).await,
    };
    let mut near = (send, recv);
    let mut far = sender.open_stream().await?;
    far.0.write(bytes_of(&IncomingDownload {}).into()).await?;
    near.0.write(bytes_of(&ConnectReply { limits, pass: Vec::new() }).into()).await?;
    let there =
        BridgeDirection { direction: StreamDirection::ToSender, from: near.1, to: far.0, shared: shared.clone() };
    let back = BridgeDirection { direction: StreamDirection::ToReceiver, from: far.1, to: near.0, shared };
    tokio::join!(there.run(listener.clone(), plan.tamper.clone()), back.run(listener, plan.tamper));
    Ok(())
}

async fn register(
    connection: Connection,
    (mut send, mut recv): (SendHalf, RecvHalf),
    shared: Arc<Shared>,
) -> Result<(), StreamError> {
    let (planned, slot) = {
        let mut state = shared.lock();
        state.registered += 1;
        let slot = Slot::from_number(state.registered * 7_919);
        (state.registrations.pop_front(), slot)
    };
    if let Some(planned) = planned {
        return answer(&connection, (send, recv), planned).await;
    }
    shared.lock().senders.insert(slot, connection);
    let limits = RelayLimits { bridge_bytes: BRIDGE_BYTES };
    send.write(bytes_of(&RegisterReply { slot, ticket: Vec::new(), limits }).into()).await?;
    let _ = recv.read().await;
    shared.lock().senders.remove(&slot);
    send.finish();
    Ok(())
}

async fn answer(
    connection: &Connection,
    (mut send, _recv): (SendHalf, RecvHalf),
    answer: ReplyPlan,
) -> Result<(), StreamError> {
    if let ReplyPlan::Raw(bytes, then) = answer {
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
struct BridgeDirection {
    direction: StreamDirection,
    from: RecvHalf,
    to: SendHalf,
    shared: Arc<Shared>,
}

impl BridgeDirection {
    async fn run(mut self, listener: Arc<Listener>, tamper: Tamper) {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        for number in 0.. {
            let unit = tokio::select! {
                why = &mut stopped => return self.from.stop(code_of(&why)),
                unit = next_unit(&mut self.from, number) => unit,
            };
            let bytes = match unit {
                Ok(bytes) => bytes,
                Err(e) => return self.to.reset(code_of(&e)),
            };
            self.shared.log(&bytes);
            let is_end = bytes.is_empty();
            let Forwarded(bytes, then) = tamper(self.direction, number, bytes);
            let written = tokio::select! {
                why = &mut stopped => Err(why),
                written = self.to.write(bytes.into()) => written,
            };
            if let Err(e) = written {
                return self.from.stop(code_of(&e));
            }
            match then {
                Then::Continue if !is_end => continue,
                Then::Continue => return std::future::pending().await,
                Then::Finish => self.to.finish(),
                Then::Reset => self.to.reset(1),
                Then::Die => listener.close(0),
            }
            // The other direction goes on; this one is drained, so that nobody waits for it.
            while let Ok(Some(_)) = self.from.read().await {}
            return;
        }
    }
}

fn code_of(e: &StreamError) -> u32 {
    match e {
        StreamError::Aborted(code) => *code,
        _ => 2,
    }
}

/// The next frame or record; nothing at the end of the stream.
async fn next_unit(from: &mut RecvHalf, number: usize) -> Result<Vec<u8>, StreamError> {
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
