//! The request for an offer: where to search for the sender, and what to select of its share.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use super::{
    nearby_plan::NearbyPlan,
    receive_target::{ReceiveTarget, TargetRelay},
    relay_dialer::relay_dialer,
};
use crate::{
    error::Result,
    event::Events,
    net::{LanReach, TransportOptions},
    selection::Selection,
    state::StateAccess,
    transfer::{PendingOffer, ReconnectConfig, ResumptionStore},
};

/// How a receiver gets an offer.
pub(crate) struct OfferRequest {
    pub(crate) target: ReceiveTarget,
    pub(crate) state: StateAccess,
    pub(crate) transport: TransportOptions,
    /// How to search the local network; `None` to leave it out.
    pub(crate) lan: Option<LanReach>,
    /// How long to wait for a sender that does not share yet.
    pub(crate) wait: Option<Duration>,
    /// How long to try to connect again after the connection is lost.
    pub(crate) retry_for: Duration,
    /// The limit of the download in bytes per second.
    pub(crate) rate_limit: Option<NonZeroU64>,
    pub(crate) selection: Selection,
    /// Where the download will be saved.
    pub(crate) out: Option<PathBuf>,
}

impl OfferRequest {
    /// Connects to the sender and reads its offer.
    ///
    /// # Errors
    /// Those of [`PendingOffer::receive`], and [`Kind::Disk`](crate::error::Kind::Disk) if the state folder cannot be
    /// used.
    pub(crate) async fn send(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<PendingOffer> {
        let Self { target, state, transport, lan, wait, retry_for, rate_limit, selection, out } = self;
        let place = target.place();
        let ReceiveTarget { code, relay, searches_nearby } = target;
        let plan = NearbyPlan {
            slot: code.slot(),
            state: state.writable().cloned(),
            lan,
            waits: wait.is_some(),
            transport: transport.clone(),
        };
        // Without the local network, a relay is the only place.
        let nearby = (searches_nearby && (lan.is_some() || relay.is_none())).then(|| plan.into_nearby());
        let relay = relay.map(|TargetRelay { addresses, spec, named_by }| {
            relay_dialer(&state, addresses, (&spec, named_by), transport, events)
        });
        let open_store = |state| ResumptionStore::open(state, &place, out.as_deref(), &selection);
        let resumptions = state.writable().map(open_store).transpose()?;
        let reconnect = ReconnectConfig { relay, nearby, wait, retry_for, rate_limit, resumptions };
        PendingOffer::receive(&code, reconnect, selection, events, interrupt).await
    }
}
