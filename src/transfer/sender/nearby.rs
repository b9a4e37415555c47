//! The registration at the relay in this process, for receivers on this machine and on the local network. Its slot is
//! the one that another relay has assigned to the share.

use std::{future::pending, sync::Arc};

use tokio::task::JoinSet;
use tracing::debug;

use super::{admission::serve_stream, registration::Registration, share::Share};
use crate::{code::Slot, net::Connection, wire::relay::RegisterRequest};

/// The relay in this process, beside the relay that has assigned the share's slot.
pub struct NearbyRelay {
    /// The connection to it.
    pub connection: Connection,
    /// Issues the ticket for a slot.
    pub issue_ticket: Box<dyn Fn(Slot) -> Vec<u8> + Send + Sync>,
}

/// Serves the streams of the relay in this process.
pub(super) struct NearbyLoop {
    relay: NearbyRelay,
    pub(super) registration: Option<Registration>,
    /// The streams that are being served.
    pub(super) streams: JoinSet<()>,
}

impl NearbyLoop {
    pub(super) fn new(relay: NearbyRelay) -> Self {
        Self { relay, registration: None, streams: JoinSet::new() }
    }

    /// Serves streams, and follows the slot of the share. Returns when the share is closing and no stream is left, or
    /// when the relay has failed: the share is still reachable through the other relay.
    pub(super) async fn run(&mut self, share: &Arc<Share>) {
        while !(share.is_closing() && self.streams.is_empty()) {
            let slot = share.credentials().code.slot();
            if !share.is_closing() && self.registration.as_ref().is_none_or(|held| held.slot() != slot) {
                self.register(slot).await;
            }
            let other_slot = async {
                match &self.registration {
                    Some(held) => share.wait_for_other_slot(held.slot()).await,
                    None => pending().await,
                }
            };
            let accepted = tokio::select! {
                accepted = self.relay.connection.accept_stream() => accepted,
                Some(_) = self.streams.join_next() => continue,
                _ = other_slot, if !share.is_closing() => continue,
            };
            let Ok(stream) = accepted else { return };
            self.streams.spawn(serve_stream(Arc::clone(share), stream));
        }
    }

    /// Registers under `slot`, and releases the former slot.
    async fn register(&mut self, slot: Slot) {
        if let Some(mut former) = self.registration.take() {
            former.release().await;
        }
        let request = RegisterRequest { token: None, ticket: Some((self.relay.issue_ticket)(slot)) };
        match Registration::try_request(&self.relay.connection, &request).await {
            Ok(registration) => self.registration = Some(registration),
            Err(e) => debug!("cannot register at the relay in this process: {e:?}"),
        }
    }
}
