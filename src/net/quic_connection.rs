//! A QUIC connection.

use std::{sync::Arc, time::Duration};

use quinn::VarInt;
use tokio::time::timeout;

use super::{
    connection_lost::ConnectionLost,
    recv_half::RecvHalf,
    send_buffer::{ConnectionCount, SendBuffer},
    send_half::SendHalf,
    stream_error::StreamError,
    transport_config::{TransportOptions, Windows},
};
use crate::wire::reset_code::ENDED;

/// A QUIC connection. A handle: clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct QuicConnection {
    quic: quinn::Connection,
    windows: Windows,
    send_buffer: Arc<SendBuffer>,
}

impl QuicConnection {
    /// Wraps an established QUIC connection, which `endpoint` counts, with these windows.
    pub(super) fn new(
        quic: quinn::Connection,
        options: TransportOptions,
        windows: Windows,
        endpoint: ConnectionCount,
    ) -> Self {
        let send_buffer = Arc::new(SendBuffer::new(quic.clone(), options.send_limiter, endpoint));
        Self { quic, windows, send_buffer }
    }

    /// Opens a stream. Waits while the peer's stream limit is reached.
    pub(super) async fn open_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let stream = self.quic.open_bi().await.map_err(|e| StreamError::Lost(e.into()))?;
        Ok(self.split(stream))
    }

    /// Waits for a stream that the peer opens.
    pub(super) async fn accept_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let stream = self.quic.accept_bi().await.map_err(|e| StreamError::Lost(e.into()))?;
        Ok(self.split(stream))
    }

    fn split(&self, (send, recv): (quinn::SendStream, quinn::RecvStream)) -> (SendHalf, RecvHalf) {
        (SendHalf::from_quic(send, Arc::clone(&self.send_buffer)), RecvHalf::from(recv))
    }

    /// Raises the window of the whole connection, unless it is raised already.
    pub(super) fn raise_receive_window(&self) {
        self.quic.set_receive_window(self.windows.raised.into()); // quinn ignores a window that is set again
    }

    /// Waits until the connection has ended, and returns the reason.
    pub(super) async fn closed(&self) -> ConnectionLost {
        self.quic.closed().await.into()
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.quic.close_reason().is_some()
    }

    /// Waits until no datagram has arrived for `limit`, or until the connection has ended.
    ///
    /// Both sides send keep-alives every few seconds, so a connection that is silent for longer is dead. Time in which
    /// this process did not run does not count as silence.
    pub(super) async fn wait_until_silent(&self, limit: Duration) -> ConnectionLost {
        /// The resolution of the measured silence.
        const CHECK_INTERVAL: Duration = Duration::from_millis(500);
        let received = || self.quic.stats().udp_rx.datagrams;
        let (mut last, mut silence) = (received(), Duration::ZERO);
        while silence < limit {
            if let Ok(lost) = timeout(CHECK_INTERVAL, self.closed()).await {
                return lost;
            }
            let now = received();
            silence = if now == last { silence + CHECK_INTERVAL } else { Duration::ZERO };
            last = now;
        }
        ConnectionLost::TimedOut
    }

    /// quinn's handle.
    pub(super) fn handle(&self) -> &quinn::Connection {
        &self.quic
    }

    /// Closes the connection. Nothing more is delivered in either direction.
    pub(super) fn close(&self) {
        self.quic.close(VarInt::from_u32(ENDED), &[]);
    }
}
