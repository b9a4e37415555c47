//! Searches the local network for announced senders.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{
    LanReach,
    asked_network::{AskedNetwork, Network},
    found_addresses::FoundAddresses,
};

/// When the question is repeated after the first one, in milliseconds. A lost message costs 100 ms.
const REPETITIONS: [u64; 5] = [100, 300, 700, 1_500, 3_000];

/// The time between two questions after these. A sender that starts later is found within it.
const INTERVAL: Duration = Duration::from_secs(3);

/// A search for senders on the local network. It works only while [`LanSearch::next`] runs.
#[derive(Debug)]
pub struct LanSearch {
    reach: LanReach,
    started: Instant,
    /// The number of questions so far.
    questions: usize,
    next_question: Instant,
    networks: Vec<AskedNetwork>,
    /// The interfaces on which a question was sent.
    asked: BTreeSet<u32>,
    found: FoundAddresses,
}

impl LanSearch {
    /// Asks for senders on all networks of this machine. Errors of one network do not affect the others; see
    /// [`LanSearch::asked_networks`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(reach: LanReach) -> Self {
        let now = Instant::now();
        let mut search = Self {
            reach,
            started: now,
            questions: 0,
            next_question: now,
            networks: Vec::new(),
            asked: BTreeSet::new(),
            found: FoundAddresses::default(),
        };
        search.ask();
        search
    }

    /// Returns the next address at which a sender may answer, each address once. Keeps asking, also on networks that
    /// appear later, and never completes if no sender answers.
    ///
    /// Returns at most 64 addresses in all. An address comes from the source of an answer, is within a network of this
    /// machine, and is not authenticated.
    ///
    /// # Cancel safety
    /// No address is lost.
    pub async fn next(&mut self) -> SocketAddr {
        loop {
            let next_question = self.next_question;
            if let Ok(addr) = timeout_at(next_question, poll_fn(|context| self.poll_next(context))).await {
                return addr;
            }
            self.ask();
        }
    }

    /// Returns the number of networks on which a question was sent. 0 if this machine has no network.
    pub fn asked_networks(&self) -> usize {
        self.asked.len()
    }

    /// Reads all answers that have arrived, then hands out one address. In this order, the answers that arrive together
    /// are handed out fairly.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<SocketAddr> {
        for network in &mut self.networks {
            while let Poll::Ready(senders) = network.poll_answer(context) {
                senders.into_iter().for_each(|sender| self.found.insert(sender));
            }
        }
        self.found.hand_out().map_or(Poll::Pending, Poll::Ready)
    }

    /// Sends a question on each network that this machine has now.
    fn ask(&mut self) {
        let mut present = Network::all(self.reach);
        self.networks.retain(|asked| present.contains(&asked.network));
        present.retain(|network| !self.networks.iter().any(|asked| asked.network == *network));
        self.networks.extend(present.into_iter().filter_map(|network| AskedNetwork::open(network).ok()));
        for network in &mut self.networks {
            if network.ask() {
                self.asked.insert(network.network.interface);
            }
        }
        self.next_question = match REPETITIONS.get(self.questions) {
            Some(&after) => self.started + Duration::from_millis(after),
            None => Instant::now() + INTERVAL,
        };
        self.questions += 1;
    }
}
