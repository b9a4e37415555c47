//! Handles the requests of clients: a sender registers a slot, a receiver connects to one.
//!
//! The first frame of every stream is the request. All waiting is bounded by [`CLIENT_TIMEOUT`], every read by
//! [`MAX_BODY`].

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tracing::debug;

use super::{
    bridge,
    client::Client,
    config::{RelayConfig, SenderPolicy},
    registry::{Lookup, Registry, SlotLease},
    source::{Source, SourceTagger},
};
use crate::{
    net::{Connection, RecvHalf, SendHalf, StreamError},
    state::unix_time,
    wire::{
        Frame, Message, WireError,
        relay::{
            ConnectReply, ConnectRequest, IncomingDownload, MAX_BODY, RegisterReply, RegisterRequest, RejectReason,
            Rejected, RelayLimits,
        },
        reset_code::PROTOCOL_ERROR,
    },
};

/// The time a client has for its handshake, for the request on a stream that it has opened, and between streams when
/// nothing else uses its connection.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the clients of a relay.
pub(super) struct RequestHandler {
    registry: Registry,
    config: RelayConfig,
    tagger: SourceTagger,
    open_bridges: watch::Sender<usize>,
}

impl RequestHandler {
    pub(super) fn new(registry: Registry, config: RelayConfig) -> Self {
        Self { registry, config, tagger: SourceTagger::new(), open_bridges: watch::Sender::new(0) }
    }

    /// Serves the streams of a client until it disconnects. Closes the connection when nothing has used it for
    /// [`CLIENT_TIMEOUT`].
    pub(super) async fn serve_client(self: Arc<Self>, connection: Connection) {
        let client = Client::new(connection);
        loop {
            let was_idle = client.is_idle();
            let stream = match timeout(CLIENT_TIMEOUT, client.connection().accept_stream()).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) => return,
                Err(_) if was_idle => return client.connection().close(),
                Err(_) => continue,
            };
            let (handler, client) = (Arc::clone(&self), client.clone());
            tokio::spawn(async move {
                if let Err(e) = handler.serve_stream(&client, stream).await {
                    debug!("a client's stream failed: {e}");
                }
            });
        }
    }

    /// Waits until no bridge is open.
    pub(super) async fn wait_until_bridges_end(&self) {
        let _ = self.open_bridges.subscribe().wait_for(|open| *open == 0).await; // fails only without a sender
    }

    async fn serve_stream(
        &self,
        client: &Client,
        (mut send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<(), StreamError> {
        let Ok(first) = timeout(CLIENT_TIMEOUT, recv.read_frame(MAX_BODY)).await else { return Ok(()) };
        let outcome = match first.and_then(|frame| Ok(ClientRequest::parse(frame.frame())?)) {
            Ok(ClientRequest::Register(request)) => self.register(client, request, &mut send, &mut recv).await,
            Ok(ClientRequest::Connect(request)) => return self.connect(client, request, send, recv).await,
            Err(e) => Err(e),
        };
        if matches!(outcome, Err(StreamError::Wire(_))) {
            send.reset(PROTOCOL_ERROR);
            recv.stop(PROTOCOL_ERROR);
        }
        outcome
    }

    /// Gives a sender a slot, which it holds until it finishes the stream or disconnects.
    async fn register(
        &self,
        client: &Client,
        request: RegisterRequest,
        send: &mut SendHalf,
        recv: &mut RecvHalf,
    ) -> Result<(), StreamError> {
        if !self.may_register(client, request.token.as_deref()) {
            return reject(send, RejectReason::Token, 0).await;
        }
        let claim = request.ticket.and_then(|ticket| self.config.ticket_key.verify_ticket(&ticket, unix_time()));
        let Some(lease) = self.registry.register(client.clone(), claim) else {
            return reject(send, RejectReason::Full, 60).await;
        };
        debug!("a sender has registered");
        let ticket = self.config.ticket_key.issue_ticket(lease.slot(), lease.owner(), unix_time());
        send.send_message(&RegisterReply { slot: lease.slot(), ticket, limits: self.limits() }).await?;
        hold_lease(lease, recv).await?;
        send.finish();
        Ok(())
    }

    /// Bridges a receiver's stream to the sender that has the requested slot. The bridge begins behind the reply.
    async fn connect(
        &self,
        client: &Client,
        request: ConnectRequest,
        mut send: SendHalf,
        recv: RecvHalf,
    ) -> Result<(), StreamError> {
        let known_owner = request.pass.and_then(|pass| self.config.ticket_key.verify_pass(request.slot, &pass));
        let (sender, owner) = match self.registry.look_up(request.slot, known_owner) {
            Lookup::Found(sender, owner) => (sender, owner),
            Lookup::Unknown => return reject(&mut send, RejectReason::NotFound, 0).await,
            Lookup::ShareEnded => return reject(&mut send, RejectReason::Ended, 0).await,
            Lookup::SenderAway => return reject(&mut send, RejectReason::Away, 1).await,
        };
        let Ok(Ok(mut sender_stream)) = timeout(CLIENT_TIMEOUT, sender.connection().open_stream()).await else {
            return reject(&mut send, RejectReason::Full, 10).await;
        };
        let source = self.tagger.tag(Source::of(client.connection()), request.slot, owner);
        sender_stream.0.send_message(&IncomingDownload { source }).await?;
        let pass = self.config.ticket_key.issue_pass(request.slot, owner);
        let limits = self.limits(); // fixed for the life of the bridge
        send.send_message(&ConnectReply { limits, pass }).await?;
        debug!("a receiver is bridged");
        self.open_bridges.send_modify(|open| *open += 1);
        bridge::run((send, recv), sender_stream, limits.bridge_bytes, &self.config.memory).await;
        self.open_bridges.send_modify(|open| *open -= 1);
        debug!("a bridge has ended");
        Ok(())
    }

    fn may_register(&self, client: &Client, token: Option<&[u8]>) -> bool {
        match &self.config.senders {
            SenderPolicy::Anyone => true,
            // blake3::Hash compares in constant time.
            SenderPolicy::WithToken(expected) => {
                token.is_some_and(|token| blake3::hash(token) == blake3::hash(expected))
            }
            SenderPolicy::InProcess => client.connection().is_in_memory(),
        }
    }

    fn limits(&self) -> RelayLimits {
        RelayLimits { bridge_bytes: self.config.memory.grant().min(self.config.max_bridge_bytes) }
    }
}

/// The first frame of a client's stream.
enum ClientRequest {
    Register(RegisterRequest),
    Connect(ConnectRequest),
}

impl ClientRequest {
    fn parse(frame: Frame<'_>) -> Result<Self, WireError> {
        match frame.kind {
            RegisterRequest::TYPE => frame.decode().map(Self::Register),
            ConnectRequest::TYPE => frame.decode().map(Self::Connect),
            other => Err(WireError::Unexpected(other)),
        }
    }
}

/// Holds the slot until the sender finishes its stream, which ends the share, or until the stream fails. The sender
/// must send nothing else.
async fn hold_lease(lease: SlotLease, recv: &mut RecvHalf) -> Result<(), StreamError> {
    match recv.read().await? {
        None => {
            lease.end_share();
            Ok(())
        }
        Some(_) => Err(WireError::Malformed.into()),
    }
}

/// Rejects a request. `retry_after` is in seconds; 0 means that no retry can succeed.
async fn reject(send: &mut SendHalf, reason: RejectReason, retry_after: u32) -> Result<(), StreamError> {
    send.send_message(&Rejected { reason, retry_after }).await?;
    send.finish();
    Ok(())
}
