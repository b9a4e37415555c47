//! A connection in memory: a share and the relay in its process hand streams to each other.
//!
//! It has the rules of a QUIC connection: each end may open a bounded number of streams, and its close ends all of
//! them at once.

use std::sync::{Arc, Weak};

use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, watch};

use super::{
    connection_lost::ConnectionLost,
    memory_stream::{MemoryReceiver, MemorySender, Pipe},
    recv_half::RecvHalf,
    send_half::SendHalf,
    stream_error::StreamError,
};
use crate::{rate_limiter::RateLimiter, sync::Mutex, wire::reset_code::ENDED};

/// One end of a connection in memory. A handle: clones share the end. Dropping the last one closes the connection.
#[derive(Debug, Clone)]
pub(super) struct MemoryConnection(Arc<ConnectionEnd>);

#[derive(Debug)]
struct ConnectionEnd {
    side: Side,
    shared: Arc<SharedConnection>,
    /// The streams that this end may still open.
    streams_left: Arc<Semaphore>,
    opened: mpsc::UnboundedSender<(SendHalf, RecvHalf)>,
    incoming: AsyncMutex<mpsc::UnboundedReceiver<(SendHalf, RecvHalf)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Relay,
}

#[derive(Debug)]
struct SharedConnection {
    /// The side that has closed the connection.
    closed_by: watch::Sender<Option<Side>>,
    pipes: Mutex<Vec<OpenPipe>>,
    /// Limits what the client sends, on all streams together.
    client_limiter: Option<Arc<RateLimiter>>,
}

/// One direction of an open stream.
#[derive(Debug)]
struct OpenPipe {
    pipe: Weak<Pipe>,
    sender: Side,
}

/// The limits of a connection.
#[derive(Debug, Clone)]
pub(super) struct MemoryConnectionLimits {
    /// The most streams that the client may have open.
    pub(super) client_streams: usize,
    /// The most streams that the relay may have open.
    pub(super) relay_streams: usize,
    /// The limiter of the client's send rate.
    pub(super) client_limiter: Option<Arc<RateLimiter>>,
}

/// Creates a connection. Returns the end of the client and the end of the relay.
pub(super) fn memory_connection(limits: MemoryConnectionLimits) -> (MemoryConnection, MemoryConnection) {
    let shared = Arc::new(SharedConnection {
        closed_by: watch::Sender::new(None),
        pipes: Mutex::default(),
        client_limiter: limits.client_limiter,
    });
    let (to_relay, from_client) = mpsc::unbounded_channel(); // bounded by the number of streams
    let (to_client, from_relay) = mpsc::unbounded_channel();
    let end = |side, streams, opened, incoming| {
        let (shared, streams_left) = (Arc::clone(&shared), Arc::new(Semaphore::new(streams)));
        MemoryConnection(Arc::new(ConnectionEnd {
            side,
            shared,
            streams_left,
            opened,
            incoming: AsyncMutex::new(incoming),
        }))
    };
    let client = end(Side::Client, limits.client_streams, to_relay, from_relay);
    let relay = end(Side::Relay, limits.relay_streams, to_client, from_client);
    (client, relay)
}

impl MemoryConnection {
    /// Opens a stream. Waits while this end has as many open as it may.
    pub(super) async fn open_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let end = &self.0;
        let permit = tokio::select! {
            biased;
            lost = self.closed() => return Err(lost.into()),
            permit = Arc::clone(&end.streams_left).acquire_owned() => permit.ok().map(Arc::new), // never closed
        };
        let direction = |sender| {
            let pipe = Arc::new(Pipe::new(permit.clone()));
            end.shared.add(&pipe, sender)?;
            let limiter = end.shared.client_limiter.clone().filter(|_| sender == Side::Client);
            let (sending, receiving) = (MemorySender::new(Arc::clone(&pipe), limiter), MemoryReceiver::new(pipe));
            Ok::<_, StreamError>((SendHalf::from(sending), RecvHalf::from(receiving)))
        };
        let (send, far_recv) = direction(end.side)?;
        let (far_send, recv) = direction(end.side.other())?;
        let _ = end.opened.send((far_send, far_recv)); // fails if the other end was dropped: that closes the connection
        Ok((send, recv))
    }

    /// Waits for a stream that the other end opens.
    pub(super) async fn accept_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let accept = async { self.0.incoming.lock().await.recv().await };
        tokio::select! {
            biased;
            lost = self.closed() => Err(lost.into()),
            Some(stream) = accept => Ok(stream),
        }
    }

    /// Waits until the connection has ended, and returns the reason.
    pub(super) async fn closed(&self) -> ConnectionLost {
        let mut closed_by = self.0.shared.closed_by.subscribe();
        let _ = closed_by.wait_for(Option::is_some).await; // cannot fail: `self` holds the sender
        let closed_by = *closed_by.borrow();
        self.0.side.explain(closed_by)
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.0.shared.closed_by.borrow().is_some()
    }

    /// Closes the connection and all its streams.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

impl ConnectionEnd {
    fn close(&self) {
        let mut pipes = self.shared.pipes.lock();
        if self.shared.closed_by.borrow().is_some() {
            return;
        }
        self.shared.closed_by.send_replace(Some(self.side));
        for OpenPipe { pipe, sender } in pipes.drain(..) {
            if let Some(pipe) = pipe.upgrade() {
                pipe.lose(&sender.explain(Some(self.side)), &sender.other().explain(Some(self.side)));
            }
        }
    }
}

impl Drop for ConnectionEnd {
    fn drop(&mut self) {
        self.close();
    }
}

impl SharedConnection {
    /// Adds a direction of a stream, which the close of the connection ends.
    fn add(&self, pipe: &Arc<Pipe>, sender: Side) -> Result<(), StreamError> {
        let mut pipes = self.pipes.lock();
        if let Some(closed_by) = *self.closed_by.borrow() {
            return Err(sender.explain(Some(closed_by)).into());
        }
        pipes.retain(|open| open.pipe.strong_count() > 0);
        pipes.push(OpenPipe { pipe: Arc::downgrade(pipe), sender });
        Ok(())
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Relay,
            Self::Relay => Self::Client,
        }
    }

    /// Returns the reason for the end of the connection in the eyes of this side.
    fn explain(self, closed_by: Option<Self>) -> ConnectionLost {
        if closed_by == Some(self) { ConnectionLost::ClosedLocally } else { ConnectionLost::ClosedByPeer(ENDED) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::task::yield_now;

    use super::*;

    const LIMITS: MemoryConnectionLimits =
        MemoryConnectionLimits { client_streams: 2, relay_streams: 3, client_limiter: None };

    #[tokio::test]
    async fn streams_are_exchanged_in_both_directions() {
        let (client, relay) = memory_connection(LIMITS);
        for (from, to) in [(&client, &relay), (&relay, &client)] {
            let (mut send, mut recv) = from.open_stream().await.unwrap();
            let (mut far_send, mut far_recv) = to.accept_stream().await.unwrap();
            send.write(Bytes::from_static(b"ping")).await.unwrap();
            assert_eq!(far_recv.read().await.unwrap().unwrap(), "ping");
            far_send.write(Bytes::from_static(b"pong")).await.unwrap();
            far_send.finish();
            assert_eq!(recv.read().await.unwrap().unwrap(), "pong");
            assert_eq!(recv.read().await, Ok(None));
        }
    }

    #[tokio::test]
    async fn a_close_ends_every_stream_at_once() {
        let (client, relay) = memory_connection(LIMITS);
        let (mut send, mut recv) = client.open_stream().await.unwrap();
        let (far_send, mut far_recv) = relay.accept_stream().await.unwrap();
        send.write(Bytes::from_static(b"in flight")).await.unwrap();
        send.finish();
        relay.close();
        let (by_peer, locally) = (ConnectionLost::ClosedByPeer(ENDED), ConnectionLost::ClosedLocally);
        assert_eq!(far_recv.read().await, Err(locally.clone().into()), "a close overtakes data and the finish");
        assert_eq!(recv.read().await, Err(by_peer.clone().into()));
        assert_eq!(send.stopped().await, by_peer.clone().into());
        assert_eq!(far_send.stopped().await, locally.clone().into());
        assert_eq!((client.closed().await, relay.closed().await), (by_peer.clone(), locally));
        assert_eq!(client.open_stream().await.err(), Some(by_peer.clone().into()));
        assert_eq!(client.accept_stream().await.err(), Some(by_peer.into()));
        assert!(client.is_closed());
    }

    #[tokio::test]
    async fn dropping_an_end_closes_the_connection() {
        let (client, relay) = memory_connection(LIMITS);
        drop(relay.clone());
        assert!(!client.is_closed());
        drop(relay);
        assert_eq!(client.closed().await, ConnectionLost::ClosedByPeer(ENDED));
    }

    #[tokio::test]
    async fn the_number_of_open_streams_is_bounded() {
        let (client, relay) = memory_connection(LIMITS);
        let mut open = Vec::new();
        for _ in 0..LIMITS.relay_streams {
            open.push((relay.open_stream().await.unwrap(), client.accept_stream().await.unwrap()));
        }
        let waiting = tokio::spawn(async move { relay.open_stream().await.map(drop) });
        yield_now().await;
        assert!(!waiting.is_finished());
        let (near, far) = open.pop().unwrap();
        drop(far);
        yield_now().await;
        assert!(!waiting.is_finished(), "one end is still in use");
        drop(near);
        waiting.await.unwrap().unwrap();
    }
}
