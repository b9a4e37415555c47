//! A relay on the local network that claims to know every sender.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use qshare::internals::{
    net::{Connection, RecvHalf, RelayIdentity, SendHalf, StreamError, TransportOptions, listen},
    route::Route,
    wire::{
        Message,
        relay::{ConnectReply, ConnectRequest, LookupReply, MAX_BODY, RelayLimits},
    },
};
use tokio::runtime::Runtime;

/// What the relay does with a key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RogueAnswer {
    /// It answers with bytes that no sender with the code would send.
    Garbage,
    /// It never answers.
    Silence,
}

/// A relay that confirms every slot. It stops when dropped.
pub(super) struct RogueRelay {
    port: u16,
    exchanges: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl RogueRelay {
    /// Starts the relay on a free port.
    pub(super) fn start(answer: RogueAnswer) -> Self {
        let runtime = Runtime::new().unwrap();
        let exchanges = Arc::new(AtomicUsize::new(0));
        let guard = runtime.enter();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = listen(any, &RelayIdentity::temporary().unwrap(), TransportOptions::default()).unwrap();
        drop(guard);
        let (port, counter) = (listener.local_addr().unwrap().port(), Arc::clone(&exchanges));
        runtime.spawn(async move {
            while let Some(incoming) = listener.accept().await {
                if let Ok(connection) = listener.complete_handshake(incoming).await {
                    tokio::spawn(serve(connection, answer, Arc::clone(&counter)));
                }
            }
        });
        Self { port, exchanges, _runtime: runtime }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of key exchanges that receivers have begun.
    pub(super) fn exchanges(&self) -> usize {
        self.exchanges.load(Ordering::SeqCst)
    }
}

async fn serve(connection: Connection, answer: RogueAnswer, exchanges: Arc<AtomicUsize>) {
    while let Ok(stream) = connection.accept_stream().await {
        tokio::spawn(serve_stream(stream, answer, Arc::clone(&exchanges)));
    }
}

async fn serve_stream(
    (mut send, mut recv): (SendHalf, RecvHalf),
    answer: RogueAnswer,
    exchanges: Arc<AtomicUsize>,
) -> Result<(), StreamError> {
    let request = recv.read_frame(MAX_BODY).await?;
    if request.frame().kind != ConnectRequest::TYPE {
        send.send_message(&LookupReply).await?;
        send.finish();
        send.wait_until_delivered().await;
        return Ok(());
    }
    exchanges.fetch_add(1, Ordering::SeqCst);
    let limits = RelayLimits { bridge_bytes: 1 << 20 };
    send.send_message(&ConnectReply { limits, pass: Vec::new(), route: Route::Lan }).await?;
    if answer == RogueAnswer::Garbage {
        send.write(vec![0x5a; 500].into()).await?;
        send.finish();
    }
    let _ = recv.read().await; // flight 1
    std::future::pending().await
}
