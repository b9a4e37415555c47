//! Connects receivers: a receiver asks whether a sender has a slot, or requests a bridge to it.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};
use tracing::debug;

use super::{
    bridge::{self, BridgeEnd, BridgeSide},
    bridge_phase::VERDICT_PERIOD,
    client::Client,
    limits::{HoldingKind, RateKind},
    registry::Lookup,
    request_handler::{CLIENT_TIMEOUT, Rejection, RequestHandler, WaitingStream, reply},
    source::Source,
    source_limiter::Holding,
    tickets::SlotOwner,
};
use crate::{
    background::with_background,
    code::Slot,
    net::{PeerWaitError, direct_route, wait_on_peer},
    route::Route,
    wire::{
        relay::{ConnectReply, ConnectRequest, IncomingDownload, LookupReply, LookupRequest, RejectReason},
        reset_code::UNCONFIRMED,
    },
};

/// The time in which a sender must accept a stream and its announcement. It is shorter than the time for which a
/// receiver waits for the reply.
const LEG_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest time for which a lookup waits for a sender. It occupies a stream for as long.
const MAX_LOOKUP_WAIT: Duration = Duration::from_secs(60);

/// A receiver that may be bridged to a sender.
struct AdmittedReceiver {
    slot: Slot,
    sender: Client,
    owner: SlotOwner,
    /// The resources of the receiver's source that the bridge holds.
    bridge: Holding,
    starting: Holding,
}

/// A bridge that may begin.
pub(super) struct PreparedBridge {
    admitted: AdmittedReceiver,
    /// The stream to the sender.
    leg: BridgeSide,
    /// The most bytes that the bridge may hold in each direction.
    bound: u64,
}

impl RequestHandler {
    /// Tells a receiver whether a sender has a slot, after a wait if the receiver asks for it. This counts as a
    /// connect, so nobody can list the slots.
    pub(super) async fn look_up(
        &self,
        client: &Client,
        request: &LookupRequest,
        stream: &mut BridgeSide,
    ) -> Result<(), PeerWaitError> {
        let source = self.limiter.limited(client.source());
        let mut admitted = self.admit(request.slot, None, source);
        if matches!(&admitted, Err(rejection) if rejection.reason == RejectReason::NotFound) && request.wait > 0 {
            let wait = Duration::from_secs(request.wait.into()).min(MAX_LOOKUP_WAIT);
            let held = async {
                self.registry.wait_until_held(request.slot).await;
                Ok(())
            };
            match wait_on_peer(wait, [&mut stream.1], held).await {
                Ok(()) => admitted = self.admit(request.slot, None, source),
                Err(PeerWaitError::Silent) => {}
                Err(e) => return Err(e),
            }
        }
        match admitted {
            Ok(_admitted) => {
                reply(stream, &LookupReply).await?;
                stream.0.finish();
                Ok(())
            }
            Err(rejection) => self.reject(client, stream, rejection).await,
        }
    }

    /// Opens a stream to the sender that holds the requested slot, and replies to the receiver. The bridge begins after
    /// the reply. Returns `None` if the request is rejected.
    pub(super) async fn connect(
        &self,
        client: &Client,
        request: ConnectRequest,
        stream: &mut BridgeSide,
        waiting: WaitingStream,
    ) -> Result<Option<PreparedBridge>, PeerWaitError> {
        self.counters.connects.add(1);
        let (slot, source) = (request.slot, self.limiter.limited(client.source()));
        let known_owner = request.pass.and_then(|pass| self.config.ticket_key.verify_pass(slot, &pass));
        let admitted = match self.admit(slot, known_owner, source) {
            Ok(admitted) => admitted,
            Err(rejection) => return self.reject(client, stream, rejection).await.map(|()| None),
        };
        let tag = self.tagger.tag(client.source(), slot, admitted.owner);
        let route = match admitted.sender.connection().is_in_memory() {
            true => direct_route(client.address()),
            false => Route::Relay,
        };
        let announcement = IncomingDownload { source: tag, route };
        let opening = async { Ok(open_leg(&admitted.sender, &announcement).await) };
        let Ok(mut leg) = wait_on_peer(CLIENT_TIMEOUT, [&mut stream.1], opening).await? else {
            let rejection = Rejection { reason: RejectReason::Full, retry_after: 10 };
            return self.reject(client, stream, rejection).await.map(|()| None);
        };
        let pass = self.config.ticket_key.issue_pass(slot, admitted.owner);
        let limits = self.bridge_limits(); // fixed for the life of the bridge
        let replying = async { Ok(reply(stream, &ConnectReply { limits, pass, route }).await) };
        wait_on_peer(CLIENT_TIMEOUT, [&mut leg.1], replying).await??;
        drop(waiting);
        Ok(Some(PreparedBridge { admitted, leg, bound: limits.bridge_bytes }))
    }

    /// Bridges a receiver's stream to its sender until both directions have ended.
    pub(super) async fn run_bridge(&self, receiver: &Client, stream: BridgeSide, bridge: PreparedBridge) {
        let PreparedBridge { admitted, leg, bound } = bridge;
        let AdmittedReceiver { slot, sender, owner, bridge, starting } = admitted;
        let source = self.limiter.limited(receiver.source());
        receiver.connection().raise_receive_window();
        sender.connection().raise_receive_window();
        self.registry.note_bridge(slot, owner);
        self.counters.bridges.add(1);
        debug!("a receiver is bridged");
        let (memory, bytes) = (&self.config.memory, &self.counters.bytes);
        let outlasting_guesses = async {
            sleep(VERDICT_PERIOD).await;
            drop(starting);
        };
        let open_bridge = OpenBridge::new(&self.open_bridges);
        let bridge_run = bridge::run(stream, leg, bound, memory, bytes);
        let BridgeEnd { sender_code, was_confirmed } = with_background(bridge_run, outlasting_guesses).await;
        drop((open_bridge, bridge));
        if was_confirmed {
            self.registry.note_confirmed(slot, owner, source);
        }
        if sender_code == Some(UNCONFIRMED) {
            self.counters.unconfirmed.add(1);
            self.limiter.note_unconfirmed(source);
            self.registry.note_unconfirmed(slot, owner);
        }
        debug!("a bridge has ended");
    }

    /// Decides whether a receiver may be bridged now. `known_owner` is the owner that its pass names.
    ///
    /// Limits are checked before the lookup, so that refusals reveal nothing about the slot.
    fn admit(
        &self,
        slot: Slot,
        known_owner: Option<SlotOwner>,
        source: Option<Source>,
    ) -> Result<AdmittedReceiver, Rejection> {
        let is_known = match (known_owner, source) {
            (Some(owner), Some(source)) => self.registry.is_known(slot, owner, source),
            _ => false,
        };
        if !is_known {
            self.limiter.check_barred(source)?;
        }
        self.limiter.take(RateKind::Connect, source)?;
        if known_owner.is_none() {
            self.limiter.check(RateKind::Miss, source)?;
        }
        let bridge = self.limiter.hold(HoldingKind::Bridge, source)?;
        let starting = self.limiter.hold(HoldingKind::StartingBridge, source)?;
        let rejected = |reason, retry_after| Err(Rejection { reason, retry_after });
        match self.registry.look_up(slot, known_owner, source) {
            Lookup::Found(sender, owner) => Ok(AdmittedReceiver { slot, sender, owner, bridge, starting }),
            Lookup::Protected(refusal) => Err(refusal.into()),
            Lookup::ShareEnded => rejected(RejectReason::Ended, 0),
            Lookup::SenderAway => rejected(RejectReason::Away, 1),
            Lookup::Unknown => {
                self.counters.misses.add(1);
                let _ = self.limiter.take(RateKind::Miss, source); // fails if another thread has taken the last token
                rejected(RejectReason::NotFound, 0)
            }
        }
    }
}

/// Counts a bridge as open until it is dropped.
struct OpenBridge<'a>(&'a watch::Sender<usize>);

impl<'a> OpenBridge<'a> {
    fn new(open_bridges: &'a watch::Sender<usize>) -> Self {
        open_bridges.send_modify(|open| *open += 1);
        Self(open_bridges)
    }
}

impl Drop for OpenBridge<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Opens a stream to a sender and announces a receiver on it.
async fn open_leg(sender: &Client, message: &IncomingDownload) -> Result<BridgeSide, PeerWaitError> {
    let (mut send, mut recv) = wait_on_peer(LEG_TIMEOUT, [], sender.connection().open_stream()).await?;
    wait_on_peer(LEG_TIMEOUT, [&mut recv], send.send_message(message)).await?;
    Ok((send, recv))
}
