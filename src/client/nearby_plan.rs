//! The places where a receiver searches for the sender of a bare code: this machine and the local network.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, error::SendError},
    time::{Instant, sleep_until},
};

use super::running_shares;
use crate::{
    code::{EMBEDDED_PORTS, Slot},
    net::{Dialer, LanReach, LanSearch, TransportOptions, connect_nearby, may_listen},
    state::StateDir,
    transfer::{Nearby, NearbySearch},
};

/// The maximum number of relays that wait to be asked.
const MAX_WAITING: usize = 16;

/// The time between two searches on this machine while the receiver waits for a sender. The search on the network
/// repeats its questions itself.
const ROUND: Duration = Duration::from_secs(2);

/// Where and how to search.
#[derive(Clone)]
pub(crate) struct NearbyPlan {
    pub(crate) slot: Slot,
    /// The state folder, which has the address of a share of the same user.
    pub(crate) state: Option<StateDir>,
    /// How to search the local network; `None` to search only this machine.
    pub(crate) lan: Option<LanReach>,
    /// Whether a network may still appear.
    pub(crate) waits: bool,
    pub(crate) transport: TransportOptions,
}

impl NearbyPlan {
    /// Returns a search that can be started any number of times.
    pub(crate) fn into_nearby(self) -> Nearby {
        Nearby::from_fn(move || self.start())
    }

    fn start(&self) -> NearbySearch {
        let lan = self.lan.map(LanSearch::start);
        let networks = lan.as_ref().map(LanSearch::asked_networks);
        let (offer, found) = mpsc::channel(MAX_WAITING);
        tokio::spawn(self.clone().search(lan, offer));
        NearbySearch { found, networks }
    }

    /// Offers dialers until nothing more can be found, or until nobody waits for them.
    async fn search(self, lan: Option<LanSearch>, offer: mpsc::Sender<Dialer>) {
        if self.offer_this_machine(&offer).await.is_err() {
            return;
        }
        let Some(mut lan) = lan.filter(|lan| self.waits || lan.asked_networks() > 0) else { return };
        let mut next_round = Instant::now() + ROUND;
        loop {
            let offered = tokio::select! {
                addr = lan.next() => offer.send(self.dialer(addr)).await,
                () = sleep_until(next_round), if self.waits => {
                    next_round += ROUND;
                    self.offer_this_machine(&offer).await
                }
                () = offer.closed() => return,
            };
            if offered.is_err() {
                return;
            }
        }
    }

    async fn offer_this_machine(&self, offer: &mpsc::Sender<Dialer>) -> Result<(), SendError<Dialer>> {
        for addr in self.addresses_on_this_machine() {
            offer.send(self.dialer(addr)).await?;
        }
        Ok(())
    }

    /// Returns the address of the share of the same user, if it runs, and those at which the embedded relays of all
    /// users may listen.
    fn addresses_on_this_machine(&self) -> Vec<SocketAddr> {
        let own = self.state.as_ref().and_then(|state| running_shares::find_address(state, self.slot).ok()?);
        let own = own.map(|address| address.addr);
        let others = EMBEDDED_PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        own.into_iter().chain(others.filter(|addr| Some(*addr) != own && may_listen(*addr))).collect()
    }

    fn dialer(&self, addr: SocketAddr) -> Dialer {
        let transport = self.transport.clone();
        Dialer::from_fn(move || connect_nearby(addr, transport.clone()))
    }
}
