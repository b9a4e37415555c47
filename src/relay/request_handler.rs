//! Handles the requests of clients. [`super::registration`] and [`super::connect`] each handle one kind.
//!
//! The first frame of every stream is the request. All waiting is bounded by [`CLIENT_TIMEOUT`], every read by
//! [`MAX_BODY`]. While one stream waits for another, it is read, and a client that sends more than its request and
//! flight 1 loses it ([`wait_on_peer`]).

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::debug;

use super::{
    bridge::BridgeSide,
    client::Client,
    config::RelayConfig,
    counters::RelayCounters,
    limits::HoldingKind,
    refusal::Refusal,
    registry::Registry,
    source_limiter::{Holding, SourceLimiter},
    source_tagger::SourceTagger,
};
use crate::{
    net::{Connection, PeerWaitError, RecvHalf, StreamError, wait_on_peer},
    wire::{
        Frame, Message, WireError,
        relay::{
            AddressReply, AddressRequest, ConnectRequest, LookupRequest, MAX_BODY, RegisterRequest, RejectReason,
            Rejected, RelayLimits,
        },
        relay_limit::RelayLimit,
        reset_code::{EVICTED, PROTOCOL_ERROR},
    },
};

/// The time a client has for its handshake, for the request on a stream that it has opened, and between streams when
/// nothing else uses its connection.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the clients of a relay.
pub(super) struct RequestHandler {
    pub(super) registry: Registry,
    pub(super) limiter: SourceLimiter,
    pub(super) counters: Arc<RelayCounters>,
    pub(super) config: RelayConfig,
    pub(super) tagger: SourceTagger,
    pub(super) open_bridges: watch::Sender<usize>,
}

impl RequestHandler {
    pub(super) fn new(
        registry: Registry,
        limiter: SourceLimiter,
        counters: Arc<RelayCounters>,
        config: RelayConfig,
    ) -> Self {
        let (tagger, open_bridges) = (SourceTagger::new(), watch::Sender::new(0));
        Self { registry, limiter, counters, config, tagger, open_bridges }
    }

    /// Serves the streams of a client until it disconnects. Closes the connection when nothing has used it for
    /// [`CLIENT_TIMEOUT`].
    pub(super) async fn serve_client(self: Arc<Self>, connection: Connection, address: IpAddr) {
        let client = Client::new(connection, address);
        loop {
            let was_idle = client.is_idle();
            let mut stream = match wait_on_peer(CLIENT_TIMEOUT, [], client.connection().accept_stream()).await {
                Ok(stream) => stream,
                Err(PeerWaitError::Stream(_)) => return,
                Err(PeerWaitError::Silent) if was_idle => return client.connection().close(),
                Err(PeerWaitError::Silent) => continue,
            };
            let Some(memory) = self.config.memory.try_reserve_stream() else {
                end(&mut stream, EVICTED);
                continue;
            };
            let waiting = self.limiter.hold(HoldingKind::Stream, self.limiter.limited(client.source()));
            let (handler, client) = (Arc::clone(&self), client.clone());
            tokio::spawn(async move {
                let _memory = memory;
                if let Err(e) = handler.serve_stream(&client, stream, waiting).await {
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
        mut stream: BridgeSide,
        waiting: Result<WaitingStream, Refusal>,
    ) -> Result<(), PeerWaitError> {
        let waiting = match waiting {
            Ok(waiting) => waiting,
            Err(refusal) => return self.reject(client, &mut stream, refusal.into()).await,
        };
        let outcome = match read_request(&mut stream.1).await {
            Ok(ClientRequest::Register(request)) => self.register(client, request, &mut stream, waiting).await,
            Ok(ClientRequest::Address) => self.tell_address(client, &mut stream).await,
            Ok(ClientRequest::LookUp(request)) => self.look_up(client, &request, &mut stream).await,
            Ok(ClientRequest::Connect(request)) => match self.connect(client, request, &mut stream, waiting).await {
                Ok(Some(bridge)) => {
                    self.run_bridge(client, stream, bridge).await;
                    return Ok(());
                }
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        };
        if matches!(outcome, Err(PeerWaitError::Stream(StreamError::Wire(_)))) {
            end(&mut stream, PROTOCOL_ERROR);
            self.note_offence(client);
        }
        outcome
    }

    /// Tells a client its own address.
    async fn tell_address(&self, client: &Client, stream: &mut BridgeSide) -> Result<(), PeerWaitError> {
        reply(stream, &AddressReply { addr: client.present_address() }).await?;
        stream.0.finish();
        Ok(())
    }

    /// Rejects a request.
    pub(super) async fn reject(
        &self,
        client: &Client,
        stream: &mut BridgeSide,
        rejection: Rejection,
    ) -> Result<(), PeerWaitError> {
        let Rejection { reason, retry_after } = rejection;
        if let RejectReason::Limit(limit) = reason {
            self.counters.count_refusal(limit);
            self.note_offence(client);
        }
        reply(stream, &Rejected { reason, retry_after }).await?;
        stream.0.finish();
        Ok(())
    }

    /// Counts an offence, which honest clients rarely commit, unless the client is exempt from limits by source.
    fn note_offence(&self, client: &Client) {
        if self.limiter.limited(client.source()).is_some() {
            client.note_offence();
        }
    }

    /// Returns the value of a limit.
    pub(super) fn limit(&self, limit: RelayLimit) -> u32 {
        self.config.limits.get(limit)
    }

    /// Returns the limits of the next bridge.
    pub(super) fn bridge_limits(&self) -> RelayLimits {
        RelayLimits { bridge_bytes: self.config.memory.grant().min(self.config.max_bridge_bytes) }
    }
}

async fn read_request(recv: &mut RecvHalf) -> Result<ClientRequest, PeerWaitError> {
    let first = wait_on_peer(CLIENT_TIMEOUT, [], recv.read_frame(MAX_BODY)).await?;
    Ok(ClientRequest::parse(first.frame()).map_err(StreamError::from)?)
}

/// Sends the reply to a request.
pub(super) async fn reply<M: Message>((send, recv): &mut BridgeSide, message: &M) -> Result<(), PeerWaitError> {
    wait_on_peer(CLIENT_TIMEOUT, [recv], send.send_message(message)).await
}

/// Resets and stops a stream.
fn end((send, recv): &mut BridgeSide, code: u32) {
    send.reset(code);
    recv.stop(code);
}

/// The reason why a request is rejected, and the time after which a retry may succeed.
pub(super) struct Rejection {
    pub(super) reason: RejectReason,
    /// In seconds; 0 means that no retry can succeed.
    pub(super) retry_after: u32,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { reason: RejectReason::Limit(refusal.limit), retry_after: refusal.retry_after }
    }
}

/// A stream that waits for the reply to its request.
pub(super) type WaitingStream = Holding;

/// The first frame of a client's stream.
enum ClientRequest {
    Register(RegisterRequest),
    LookUp(LookupRequest),
    Address,
    Connect(ConnectRequest),
}

impl ClientRequest {
    fn parse(frame: Frame<'_>) -> Result<Self, WireError> {
        match frame.kind {
            RegisterRequest::TYPE => frame.decode().map(Self::Register),
            LookupRequest::TYPE => frame.decode().map(Self::LookUp),
            AddressRequest::TYPE => frame.decode().map(|AddressRequest| Self::Address),
            ConnectRequest::TYPE => frame.decode().map(Self::Connect),
            other => Err(WireError::Unexpected(other)),
        }
    }
}
