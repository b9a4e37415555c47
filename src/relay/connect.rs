//! Connects receivers: a receiver requests a slot and is bridged to its sender.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{
    bridge,
    client::Client,
    limits::{HoldingKind, RateKind},
    registry::Lookup,
    request_handler::{CLIENT_TIMEOUT, Rejection, RequestHandler, WaitingStream},
    source::Source,
    source_limiter::Holding,
    tickets::SlotOwner,
};
use crate::{
    background::with_background,
    code::Slot,
    net::{RecvHalf, SendHalf, StreamError},
    wire::{
        relay::{ConnectReply, ConnectRequest, IncomingDownload, RejectReason},
        reset_code::UNCONFIRMED,
    },
};

/// A bridge that lasts for this long serves a confirmed session: a sender ends any other after ten seconds. Until then
/// it may be testing a guess.
const CONFIRMED_AFTER: Duration = Duration::from_secs(15);

/// A receiver that may be bridged to a sender.
struct AdmittedReceiver {
    sender: Client,
    owner: SlotOwner,
    /// Count the bridge for the receiver's source.
    bridge: Holding,
    starting: Holding,
}

impl RequestHandler {
    /// Bridges a receiver's stream to the sender that has the requested slot. The bridge begins behind the reply.
    pub(super) async fn connect(
        &self,
        client: &Client,
        request: ConnectRequest,
        (mut send, recv): (SendHalf, RecvHalf),
        waiting: WaitingStream,
    ) -> Result<(), StreamError> {
        self.counters.connects.add(1);
        let (slot, source) = (request.slot, self.limiter.source_of(client.connection()));
        let known_owner = request.pass.and_then(|pass| self.config.ticket_key.verify_pass(slot, &pass));
        let AdmittedReceiver { sender, owner, bridge, starting } = match self.admit(slot, known_owner, source) {
            Ok(admitted) => admitted,
            Err(rejection) => return self.reject(client, &mut send, rejection).await,
        };
        let Ok(Ok(mut sender_stream)) = timeout(CLIENT_TIMEOUT, sender.connection().open_stream()).await else {
            return self.reject(client, &mut send, Rejection { reason: RejectReason::Full, retry_after: 10 }).await;
        };
        let tag = self.tagger.tag(Source::of(client.connection()), slot, owner);
        sender_stream.0.send_message(&IncomingDownload { source: tag }).await?;
        let pass = self.config.ticket_key.issue_pass(slot, owner);
        let limits = self.bridge_limits(); // fixed for the life of the bridge
        send.send_message(&ConnectReply { limits, pass }).await?;
        drop(waiting);
        self.registry.note_bridge(slot, owner);
        self.counters.bridges.add(1);
        debug!("a receiver is bridged");
        let (memory, bytes) = (&self.config.memory, &self.counters.bytes);
        let confirmed = async {
            sleep(CONFIRMED_AFTER).await;
            drop(starting);
            self.registry.note_confirmed(slot, owner, source);
        };
        self.open_bridges.send_modify(|open| *open += 1);
        let bridge_run = bridge::run((send, recv), sender_stream, limits.bridge_bytes, memory, bytes);
        let sender_code = with_background(bridge_run, confirmed).await;
        self.open_bridges.send_modify(|open| *open -= 1);
        drop(bridge);
        if sender_code == Some(UNCONFIRMED) {
            self.counters.unconfirmed.add(1);
            self.limiter.note_unconfirmed(source);
            self.registry.note_unconfirmed(slot, owner);
        }
        debug!("a bridge has ended");
        Ok(())
    }

    /// Decides whether a receiver may be bridged now. `known_owner` is the owner that its pass names.
    ///
    /// Limits are checked before the lookup, so that their refusals say nothing about the slot.
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
            Lookup::Found(sender, owner) => Ok(AdmittedReceiver { sender, owner, bridge, starting }),
            Lookup::Protected(refusal) => Err(refusal.into()),
            Lookup::ShareEnded => rejected(RejectReason::Ended, 0),
            Lookup::SenderAway => rejected(RejectReason::Away, 1),
            Lookup::Unknown => {
                self.counters.misses.add(1);
                let _ = self.limiter.take(RateKind::Miss, source); // another thread may have taken the last one
                rejected(RejectReason::NotFound, 0)
            }
        }
    }
}
