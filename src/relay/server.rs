//! The relay's side of every connection: who registers, who connects, and nothing that is unbounded.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    bridge,
    client::Client,
    journal::SlotJournal,
    memory::MemoryBudget,
    registry::{Lease, Lookup, Registry},
    tickets::TicketKey,
};
use crate::{
    error::Result,
    net::{Listener, RecvHalf, SendHalf, StreamError},
    state::unix_time,
    wire::{
        Frame, Message, WireError,
        relay::{
            ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, RejectReason,
            Rejected, RelayLimits,
        },
        reset_code::{ENDED, PROTOCOL_ERROR},
    },
};

/// A client has this long for its handshake, and again for the first frame of a stream.
const PATIENCE: Duration = Duration::from_secs(10);

/// Above this many connections a new address must first prove that it is not forged (QUIC's Retry).
const RETRY_ABOVE: usize = 256;

/// How long a stop waits for the goodbyes to leave.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// What a relay allows.
#[derive(Clone)]
pub struct RelayConfig {
    /// The most bytes that one bridge holds in each direction.
    pub bridge_bytes: u64,
    /// What all bridges together may hold; above it, those that are stuck longest are given up.
    pub memory: MemoryBudget,
    /// The most senders at the same time.
    pub max_senders: usize,
    /// The most connections at the same time.
    pub max_connections: usize,
    /// What a sender must show to get a slot; `None` lets everybody share.
    pub register_token: Option<Vec<u8>>,
    /// What clients find each other with after a cut.
    pub ticket_key: TicketKey,
    /// Where issued slots are kept over a restart, if anywhere.
    pub journal: Option<SlotJournal>,
    /// How long the end waits for what the bridges still hold, of senders that are gone.
    pub drain_timeout: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        /// Thirty-two bridges full to the brim. Most hold far less: only what a slow receiver has been granted waits here.
        const MEMORY: usize = 1024 * 1024 * 1024;
        let memory = MemoryBudget::new(MEMORY);
        Self {
            bridge_bytes: 32 * 1024 * 1024,
            memory,
            max_senders: 10_000,
            max_connections: 20_000,
            register_token: None,
            ticket_key: TicketKey::random(),
            journal: None,
            drain_timeout: Duration::ZERO,
        }
    }
}

/// Serves until `shutdown` completes, then says goodbye to every client.
///
/// # Errors
/// [`Kind::Disk`](crate::error::Kind::Disk) where the journal cannot be read.
pub async fn serve(listener: Listener, config: RelayConfig, shutdown: impl Future<Output = ()>) -> Result<()> {
    let issued = match &config.journal {
        Some(journal) => journal.read()?,
        None => Vec::new(),
    };
    let registry = Registry::new(config.max_senders, issued);
    let relay = Arc::new(Relay { registry, config, listener, bridges: watch::Sender::new(0) });
    let over = async {
        shutdown.await;
        relay.drained().await;
    };
    tokio::select! {
        () = relay.accept() => {}
        never = relay.keep_journal() => never,
        () = over => {}
    }
    relay.write_journal().await;
    relay.listener.close(ENDED);
    let _ = timeout(DRAIN_WITHIN, relay.listener.wait_idle()).await;
    Ok(())
}

struct Relay {
    registry: Registry,
    config: RelayConfig,
    listener: Listener,
    /// How many there are.
    bridges: watch::Sender<usize>,
}

impl Relay {
    /// Takes clients in, for as long as there is a socket.
    async fn accept(self: &Arc<Self>) {
        while let Some(incoming) = self.listener.accept().await {
            let open = self.listener.open_connections();
            if open >= self.config.max_connections {
                incoming.refuse();
            } else if open >= RETRY_ABOVE && !incoming.remote_address_validated() && incoming.may_retry() {
                let _ = incoming.retry();
            } else {
                tokio::spawn(Arc::clone(self).client(incoming));
            }
        }
    }

    /// Waits until what the bridges hold has arrived, and their ends are told, if that is to be waited for.
    async fn drained(&self) {
        /// A reset leaves at once, but nobody says when it has arrived.
        const LAST_PACKETS: Duration = Duration::from_millis(200);
        let over = async {
            let _ = self.bridges.subscribe().wait_for(|bridges| *bridges == 0).await; // its sender is here
            let _ = timeout(LAST_PACKETS, self.listener.wait_idle()).await;
        };
        let _ = timeout(self.config.drain_timeout, over).await;
    }

    /// Writes down what was issued, soon after it was.
    async fn keep_journal<T>(&self) -> T {
        /// Many senders may come at once.
        const GATHER: Duration = Duration::from_millis(200);
        loop {
            self.registry.changed().await;
            sleep(GATHER).await;
            self.write_journal().await;
        }
    }

    async fn write_journal(&self) {
        let Some(journal) = self.config.journal.clone() else { return };
        let issued = self.registry.issued();
        let written = spawn_blocking(move || journal.write(&issued)).await;
        if let Ok(Err(e)) = written {
            warn!("issued slots are not written down: {e}");
        }
    }

    async fn client(self: Arc<Self>, incoming: quinn::Incoming) {
        let Ok(Ok(connection)) = timeout(PATIENCE, self.listener.complete_handshake(incoming)).await else { return };
        let client = Client::new(connection);
        loop {
            // A client without a stream has nothing to wait for.
            let idle = client.is_idle();
            let stream = match timeout(PATIENCE, client.connection().accept_stream()).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) => return,
                Err(_) if idle => return client.connection().close(),
                Err(_) => continue,
            };
            let (relay, client) = (Arc::clone(&self), client.clone());
            tokio::spawn(async move {
                if let Err(e) = relay.stream(&client, stream).await {
                    debug!("a stream ended: {e}");
                }
            });
        }
    }

    async fn stream(&self, client: &Client, (mut send, mut recv): (SendHalf, RecvHalf)) -> Result<(), StreamError> {
        let Ok(first) = timeout(PATIENCE, recv.read_frame(MAX_BODY)).await else { return Ok(()) };
        let outcome = match first.and_then(|frame| Ok(Asked::parse(frame.frame())?)) {
            Ok(Asked::RegisterRequest(request)) => self.register(client, request, &mut send, &mut recv).await,
            Ok(Asked::ConnectRequest(request)) => return self.connect(request, send, recv).await,
            Err(e) => Err(e),
        };
        if matches!(outcome, Err(StreamError::Wire(_))) {
            send.reset(PROTOCOL_ERROR);
            recv.stop(PROTOCOL_ERROR);
        }
        outcome
    }

    /// A sender: it keeps its slot until it finishes the stream or is gone.
    async fn register(
        &self,
        client: &Client,
        request: RegisterRequest,
        send: &mut SendHalf,
        recv: &mut RecvHalf,
    ) -> Result<(), StreamError> {
        if !self.may_register(request.token.as_deref()) {
            return reject(send, RejectReason::Token, 0).await;
        }
        let ticket = request.ticket.and_then(|ticket| self.config.ticket_key.check(&ticket, unix_time()));
        let Some(lease) = self.registry.register(client.clone(), ticket) else {
            return reject(send, RejectReason::Full, 60).await;
        };
        debug!("a sender has a slot");
        let ticket = self.config.ticket_key.ticket(lease.slot(), lease.owner(), unix_time());
        send.send_message(&RegisterReply { slot: lease.slot(), ticket, limits: self.limits() }).await?;
        hold(lease, recv).await?;
        send.finish();
        Ok(())
    }

    /// A receiver: behind the reply, its stream is a bridge to the sender.
    async fn connect(&self, request: ConnectRequest, mut send: SendHalf, recv: RecvHalf) -> Result<(), StreamError> {
        let before = request.pass.and_then(|pass| self.config.ticket_key.check_pass(request.slot, &pass));
        let (sender, owner) = match self.registry.find(request.slot, before) {
            Lookup::Sender(sender, owner) => (sender, owner),
            Lookup::Nothing => return reject(&mut send, RejectReason::NotFound, 0).await,
            Lookup::Ended => return reject(&mut send, RejectReason::Ended, 0).await,
            Lookup::Away => return reject(&mut send, RejectReason::Away, 1).await,
        };
        let Ok(Ok(mut far)) = timeout(PATIENCE, sender.connection().open_stream()).await else {
            return reject(&mut send, RejectReason::Full, 10).await;
        };
        far.0.send_message(&IncomingDownload {}).await?;
        let pass = self.config.ticket_key.pass(request.slot, owner);
        send.send_message(&ConnectReply { limits: self.limits(), pass }).await?;
        debug!("a receiver is bridged");
        self.bridges.send_modify(|bridges| *bridges += 1);
        bridge::run((send, recv), far, self.config.bridge_bytes, &self.config.memory).await;
        self.bridges.send_modify(|bridges| *bridges -= 1);
        debug!("a bridge ended");
        Ok(())
    }

    fn may_register(&self, token: Option<&[u8]>) -> bool {
        match &self.config.register_token {
            // blake3 compares hashes in constant time.
            Some(wanted) => token.is_some_and(|token| blake3::hash(token) == blake3::hash(wanted)),
            None => true,
        }
    }

    fn limits(&self) -> RelayLimits {
        RelayLimits { bridge_bytes: self.config.bridge_bytes }
    }
}

/// The first frame of a client's stream.
enum Asked {
    RegisterRequest(RegisterRequest),
    ConnectRequest(ConnectRequest),
}

impl Asked {
    fn parse(frame: Frame<'_>) -> Result<Self, WireError> {
        match frame.kind {
            RegisterRequest::TYPE => frame.decode().map(Self::RegisterRequest),
            ConnectRequest::TYPE => frame.decode().map(Self::ConnectRequest),
            other => Err(WireError::Unexpected(other)),
        }
    }
}

/// Keeps the slot until the sender finishes or loses its stream. It has nothing more to say on it.
async fn hold(lease: Lease, recv: &mut RecvHalf) -> Result<(), StreamError> {
    match recv.read().await? {
        None => {
            lease.end();
            Ok(())
        }
        Some(_) => Err(WireError::Malformed.into()),
    }
}

async fn reject(send: &mut SendHalf, reason: RejectReason, retry_after: u32) -> Result<(), StreamError> {
    send.send_message(&Rejected { reason, retry_after }).await?;
    send.finish();
    Ok(())
}
