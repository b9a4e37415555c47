//! The relay's server: accepts connections, records issued slots, and shuts down.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{
    config::RelayConfig,
    registry::Registry,
    request_handler::{CLIENT_TIMEOUT, RequestHandler},
};
use crate::{
    background::with_background,
    error::Result,
    net::{Connection, Listener},
    wire::reset_code::ENDED,
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
    config: RelayConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let issued = match &config.journal {
        Some(journal) => journal.read()?,
        None => Vec::new(),
    };
    let registry = Registry::new(config.max_senders, issued);
    let handler = Arc::new(RequestHandler::new(registry.clone(), config.clone()));
    if let Some(connection) = in_process.clone() {
        tokio::spawn(Arc::clone(&handler).serve_client(connection));
    }
    let server = Arc::new(Server { listener, registry, config, handler });
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
    with_background(serve, server.keep_journal()).await;
    server.write_journal().await;
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
    config: RelayConfig,
    handler: Arc<RequestHandler>,
}

impl Server {
    /// Accepts connections until the socket is closed.
    async fn accept_connections(self: &Arc<Self>) {
        while let Some(incoming) = self.listener.accept().await {
            let open = self.listener.open_connections();
            if open >= self.config.max_connections {
                incoming.refuse();
            } else if open >= RETRY_ABOVE && !incoming.remote_address_validated() && incoming.may_retry() {
                let _ = incoming.retry(); // cannot fail: `may_retry` is true
            } else {
                tokio::spawn(Arc::clone(self).serve_connection(incoming));
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, incoming: quinn::Incoming) {
        if let Ok(Ok(connection)) = timeout(CLIENT_TIMEOUT, self.listener.complete_handshake(incoming)).await {
            Arc::clone(&self.handler).serve_client(connection).await;
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

    /// Writes the journal shortly after each change of the registry. Never completes.
    async fn keep_journal(&self) {
        /// Gathers the changes of many senders into one write.
        const WRITE_DELAY: Duration = Duration::from_millis(200);
        loop {
            self.registry.wait_for_change().await;
            sleep(WRITE_DELAY).await;
            self.write_journal().await;
        }
    }

    async fn write_journal(&self) {
        let Some(journal) = self.config.journal.clone() else { return };
        let issued = self.registry.issued_slots();
        let written = spawn_blocking(move || journal.write(&issued)).await;
        if let Ok(Err(e)) = written {
            warn!("cannot record the issued slots: {e}");
        }
    }
}
