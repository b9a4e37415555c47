//! Registers senders: a sender requests a slot and holds it for as long as its stream is open.

use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{
    bridge::BridgeSide,
    client::Client,
    config::SenderPolicy,
    limits::RateKind,
    refusal::Refusal,
    registry::{ESTABLISHED_AFTER, SlotLease, SlotRequest},
    request_handler::{Rejection, RequestHandler, WaitingStream, reply},
    source::Source,
    tickets::SlotOwner,
};
use crate::{
    code::Slot,
    net::{PeerWaitError, RecvHalf, StreamError},
    state::unix_time,
    wire::{
        WireError,
        relay::{RegisterReply, RegisterRequest, RejectReason},
        relay_limit::RelayLimit,
    },
};

impl RequestHandler {
    /// Assigns a slot to a sender, which holds it until it finishes the stream or disconnects.
    pub(super) async fn register(
        &self,
        client: &Client,
        request: RegisterRequest,
        stream: &mut BridgeSide,
        waiting: WaitingStream,
    ) -> Result<(), PeerWaitError> {
        let permission = self.permission(client, request.token.as_deref());
        if permission == Permission::Denied {
            return self.reject(client, stream, Rejection { reason: RejectReason::Token, retry_after: 0 }).await;
        }
        let claim = request.ticket.and_then(|ticket| self.config.ticket_key.verify_ticket(&ticket, unix_time()));
        // A token carries its own limits.
        let source = match permission {
            Permission::ByToken => None,
            _ => self.limiter.limited(client.source()),
        };
        let lease = match self.lease(client, claim, source) {
            Ok(lease) => lease,
            Err(refusal) => return self.reject(client, stream, refusal.into()).await,
        };
        self.counters.registrations.add(1);
        debug!("a sender has registered");
        let ticket = self.config.ticket_key.issue_ticket(lease.slot(), lease.owner(), unix_time());
        reply(stream, &RegisterReply { slot: lease.slot(), ticket, limits: self.bridge_limits() }).await?;
        drop(waiting);
        hold_lease(lease, &mut stream.1).await?;
        stream.0.finish();
        Ok(())
    }

    fn lease(
        &self,
        client: &Client,
        claim: Option<(Slot, SlotOwner)>,
        source: Option<Source>,
    ) -> Result<SlotLease, Refusal> {
        client.count_registration(self.limit(RelayLimit::RegistrationsPerConnection))?;
        self.limiter.take(RateKind::Registration, source)?;
        self.registry.register(SlotRequest { sender: client.clone(), claim, source })
    }

    fn permission(&self, client: &Client, token: Option<&[u8]>) -> Permission {
        let permission_if = |is_allowed, permission| if is_allowed { permission } else { Permission::Denied };
        match &self.config.senders {
            SenderPolicy::Anyone => Permission::Anyone,
            SenderPolicy::WithToken(expected) => {
                // blake3::Hash compares in constant time.
                let is_right = token.is_some_and(|token| blake3::hash(token) == blake3::hash(expected));
                permission_if(is_right, Permission::ByToken)
            }
            SenderPolicy::InProcess => permission_if(client.connection().is_in_memory(), Permission::Anyone),
        }
    }
}

/// The permission of a client to register, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    /// Every client may register.
    Anyone,
    /// The client has shown the access token.
    ByToken,
    /// The client may not register.
    Denied,
}

/// Holds the slot until the sender finishes its stream, which ends the share, or until the stream fails. The sender
/// must send nothing else, so no data accumulates during this wait.
async fn hold_lease(lease: SlotLease, recv: &mut RecvHalf) -> Result<(), StreamError> {
    let established = sleep_until(Instant::now() + ESTABLISHED_AFTER);
    tokio::pin!(established);
    let mut is_established = false;
    let read = loop {
        tokio::select! {
            read = recv.read() => break read?,
            () = &mut established, if !is_established => {
                lease.establish();
                is_established = true;
            }
        }
    };
    match read {
        None => {
            lease.end_share();
            Ok(())
        }
        Some(_) => Err(WireError::OutOfTurn.into()),
    }
}
