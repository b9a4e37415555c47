//! What remains of a race when a session is confirmed: exchanges that are still running, and relays nearby that could
//! serve the session better.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    done_delivery::deliver_done,
    key_exchange::Exchange,
    nearby::{FoundRelay, NearbySenders},
};
use crate::{
    net::RelayConnection,
    wire::peer::{Done, DownloadOutcome},
};

/// How long the end of a command may wait for the running exchanges. Each is confirmed and then closed, so that the
/// sender gets its attempt back.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum number of relays nearby to which the session may move.
const MAX_BETTER: usize = 8;

/// The tasks that end a race, and the relays nearby that they find.
pub(super) struct Leftovers {
    exchanges: JoinHandle<()>,
    search: JoinHandle<()>,
    better: mpsc::Receiver<RelayConnection>,
}

impl Leftovers {
    /// Closes the sessions of the running `exchanges` once they are confirmed. Offers the relays nearby that have
    /// `answered` and those that `nearby` still finds.
    pub(super) fn spawn(
        mut exchanges: JoinSet<Exchange>,
        answered: Vec<FoundRelay>,
        nearby: Option<NearbySenders>,
    ) -> Self {
        let (offer, better) = mpsc::channel(MAX_BETTER);
        let exchanges = tokio::spawn(async move {
            while let Some(ended) = exchanges.join_next().await {
                if let Ok(Ok((found, confirmed))) = ended {
                    let done = Done { outcome: DownloadOutcome::Redundant, message: String::new() };
                    deliver_done(confirmed.established.writer, done).await;
                    found.connected.close().await;
                }
            }
        });
        let search = tokio::spawn(async move {
            let Some(mut nearby) = nearby else { return };
            for FoundRelay { connected, is_nearby } in answered {
                if is_nearby && offer.send(connected).await.is_err() {
                    return;
                }
            }
            while let Some(connected) = nearby.next().await {
                if offer.send(connected).await.is_err() {
                    return;
                }
            }
        });
        Self { exchanges, search, better }
    }

    /// Returns the next relay nearby; `None` when the search has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next_better(&mut self) -> Option<RelayConnection> {
        self.better.recv().await
    }

    /// Stops the search, and waits for the running exchanges.
    pub(super) async fn settle(self) {
        self.search.abort();
        let _ = timeout(SETTLE_TIMEOUT, self.exchanges).await; // the sender charges an exchange that takes longer
    }
}
