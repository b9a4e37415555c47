//! The relay's server: accepts connections and shuts down.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;

use super::{
    config::RelayConfig,
    counters::{RelayCounters, RelayGauges},
    journal_task::JournalTask,
    limits::{HoldingKind, RateKind},
    memory_budget::MemoryReservation,
    refusal::Refusal,
    registry::Registry,
    request_handler::{CLIENT_TIMEOUT, RequestHandler},
    source::Source,
    source_limiter::{Holding, SourceLimiter},
};
use crate::{
    background::with_background,
    error::Result,
    net::{Connection, Listener},
    wire::{relay_limit::RelayLimit, reset_code::ENDED},
};

/// Above this many connections, a client must first prove its address (QUIC Retry, RFC 9000 section 8.1.2).
const RETRY_ABOVE: usize = 256;

/// How long a shutdown waits until all clients have acknowledged the close of their connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves clients until `shutdown` completes, then closes every connection. `in_process` is the relay's end of a
/// connection to a share in the same process.
///
/// # Errors
/// [`Kind::Disk`](crate::error::Kind::Disk) if the journal cannot be read.
pub async fn serve(
    listener: Listener,
    in_process: Option<Connection>,
    mut config: RelayConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let connections = config.limits.get(RelayLimit::ConnectionsTotal).min(config.memory.max_connections());
    config.limits = config.limits.with(RelayLimit::ConnectionsTotal, connections);
    let (journal, issued) = match &config.journal {
        Some(journal) => journal.open().map(|(file, issued)| (Some(file), issued))?,
        None => (None, Vec::new()),
    };
    let limiter = SourceLimiter::new(config.limits.clone(), config.limit_loopback);
    let registry = Registry::new(config.limits.clone(), limiter.clone(), issued);
    let counters = Arc::new(RelayCounters::new());
    let journal = JournalTask::new(registry.clone(), journal, Arc::clone(&counters), config.on_warning.clone());
    let handler = RequestHandler::new(registry.clone(), limiter.clone(), Arc::clone(&counters), config.clone());
    let handler = Arc::new(handler);
    if let Some(connection) = in_process.clone() {
        tokio::spawn(Arc::clone(&handler).serve_client(connection, Ipv4Addr::LOCALHOST.into()));
    }
    let server = Arc::new(Server { listener, registry, limiter, counters, config, handler });
    let shut_down = async {
        shutdown.await;
        server.drain().await;
    };
    let serve = async {
        tokio::select! {
            () = server.accept_connections() => {}
            () = shut_down => {}
        }
    };
    with_background(serve, async {
        tokio::join!(journal.run(), server.registry.keep_expiring(), server.keep_logging_counters());
    })
    .await;
    journal.write().await;
    server.log_counters();
    server.listener.close(ENDED);
    if let Some(connection) = in_process {
        connection.close();
    }
    let _ = timeout(CLOSE_TIMEOUT, server.listener.wait_idle()).await; // the process may exit in either case
    Ok(())
}

struct Server {
    listener: Listener,
    registry: Registry,
    limiter: SourceLimiter,
    counters: Arc<RelayCounters>,
    config: RelayConfig,
    handler: Arc<RequestHandler>,
}

/// The decision on a client that begins a handshake.
enum Entry {
    /// Its address is proven, and its connection is counted.
    Counted(Holding),
    /// Its address will be proven by the handshake.
    Uncounted,
    /// It must prove its address first.
    Retry,
    Refused(Refusal),
}

impl Server {
    /// Accepts connections until the socket is closed.
    async fn accept_connections(self: &Arc<Self>) {
        while let Some(incoming) = self.listener.accept().await {
            let counted = match self.decide(&incoming) {
                Entry::Counted(holding) => Some(holding),
                Entry::Uncounted => None,
                Entry::Retry => {
                    let _ = incoming.retry(); // cannot fail: `may_retry` is true
                    continue;
                }
                Entry::Refused(refusal) => {
                    self.counters.count_refusal(refusal.limit);
                    incoming.refuse();
                    continue;
                }
            };
            match self.config.memory.try_reserve_connection(self.listener.open_connections()) {
                Some(memory) => drop(tokio::spawn(Arc::clone(self).serve_connection(incoming, counted, memory))),
                None => incoming.refuse(),
            }
        }
    }

    /// Decides whether to admit a client. Nothing is counted for an address that is not proven: anyone could use up the
    /// limits of that address.
    fn decide(&self, incoming: &quinn::Incoming) -> Entry {
        let open = self.listener.open_connections();
        if open >= self.config.limits.get(RelayLimit::ConnectionsTotal) as usize {
            return Entry::Refused(Refusal { limit: RelayLimit::ConnectionsTotal, retry_after: 1 });
        }
        let source = self.limiter.limited(Source::from(incoming.remote_address().ip()));
        if incoming.remote_address_validated() || !incoming.may_retry() {
            return self.count_connection(source).map_or_else(Entry::Refused, Entry::Counted);
        }
        let is_busy = source.is_some_and(|source| self.limiter.is_busy(source));
        if open >= RETRY_ABOVE || is_busy { Entry::Retry } else { Entry::Uncounted }
    }

    fn count_connection(&self, source: Option<Source>) -> Result<Holding, Refusal> {
        let holding = self.limiter.hold(HoldingKind::Connection, source)?;
        self.limiter.take(RateKind::Handshake, source)?;
        Ok(holding)
    }

    async fn serve_connection(
        self: Arc<Self>,
        incoming: quinn::Incoming,
        counted: Option<Holding>,
        _memory: MemoryReservation,
    ) {
        let address = incoming.remote_address().ip();
        let Ok(Ok(connection)) = timeout(CLIENT_TIMEOUT, self.listener.complete_handshake(incoming)).await else {
            return;
        };
        let holding = match counted {
            Some(holding) => Ok(holding),
            None => self.count_connection(self.limiter.limited(Source::from(address))),
        };
        match holding {
            Ok(_holding) => Arc::clone(&self.handler).serve_client(connection, address).await,
            Err(refusal) => {
                self.counters.count_refusal(refusal.limit);
                connection.close();
            }
        }
    }

    /// Waits until the open bridges have delivered their bytes, for at most [`RelayConfig::drain_timeout`].
    async fn drain(&self) {
        /// The time for the last resets to arrive, behind the packets in the queues of a slow path. QUIC does not
        /// report when they are acknowledged.
        const RESET_TIMEOUT: Duration = Duration::from_secs(1);
        let drained = async {
            self.handler.wait_until_bridges_end().await;
            let _ = timeout(RESET_TIMEOUT, self.listener.wait_idle()).await; // ends earlier if all clients leave
        };
        let _ = timeout(self.config.drain_timeout, drained).await; // the shutdown continues in either case
    }

    /// Logs the counters once a minute. Never completes.
    async fn keep_logging_counters(&self) {
        const LOG_INTERVAL: Duration = Duration::from_secs(60);
        let mut minutes = interval(LOG_INTERVAL);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        minutes.tick().await; // the first one completes at once
        loop {
            minutes.tick().await;
            self.log_counters();
        }
    }

    fn log_counters(&self) {
        let (held_slots, resting_slots) = self.registry.counts();
        let connections = self.listener.open_connections();
        let memory = self.config.memory.usage();
        info!("{}", self.counters.summary(&RelayGauges { connections, held_slots, resting_slots, memory }));
    }
}
