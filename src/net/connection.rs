//! A connection between a client and a relay: over QUIC, or in memory if both are in one process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    connection_lost::ConnectionLost,
    memory_connection::{MemoryConnection, MemoryConnectionLimits, memory_connection},
    quic_connection::QuicConnection,
    recv_half::RecvHalf,
    send_buffer::ConnectionCount,
    send_half::SendHalf,
    stream_error::StreamError,
    transport_config::{MAX_CLIENT_STREAMS, MAX_RELAY_STREAMS, TransportOptions, Windows},
};

/// A connection between a client and a relay. A handle: clones share the connection.
#[derive(Debug, Clone)]
pub struct Connection(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Quic(QuicConnection),
    Memory(MemoryConnection),
}

impl Connection {
    /// Wraps an established QUIC connection, which `endpoint` counts, with these windows.
    pub(super) fn new(
        quic: quinn::Connection,
        options: TransportOptions,
        windows: Windows,
        endpoint: ConnectionCount,
    ) -> Self {
        Self(Inner::Quic(QuicConnection::new(quic, options, windows, endpoint)))
    }

    /// Creates a connection in memory. Returns the end of the client and the end of the relay. The limiter of
    /// `options` applies to the client.
    pub fn in_memory(options: TransportOptions) -> (Self, Self) {
        let (client, relay) = memory_connection(MemoryConnectionLimits {
            client_streams: MAX_CLIENT_STREAMS as usize,
            relay_streams: MAX_RELAY_STREAMS as usize,
            client_limiter: options.send_limiter,
        });
        (Self(Inner::Memory(client)), Self(Inner::Memory(relay)))
    }

    /// quinn's connection, unless the connection is in memory.
    pub(super) fn quic(&self) -> Option<&quinn::Connection> {
        match &self.0 {
            Inner::Quic(quic) => Some(quic.handle()),
            Inner::Memory(_) => None,
        }
    }

    /// Whether the peer is in this process.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.0, Inner::Memory(_))
    }

    /// Returns the current address of the peer. It is a loopback address if the connection is in memory. An IPv4-mapped
    /// IPv6 address becomes an IPv4 address.
    pub fn remote_address(&self) -> SocketAddr {
        match &self.0 {
            Inner::Quic(quic) => {
                let addr = quic.handle().remote_address();
                (addr.ip().to_canonical(), addr.port()).into()
            }
            Inner::Memory(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// Opens a stream. Waits while the peer's stream limit is reached.
    ///
    /// # Errors
    /// [`StreamError::Lost`] if the connection ends first.
    pub async fn open_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        match &self.0 {
            Inner::Quic(quic) => quic.open_stream().await,
            Inner::Memory(memory) => memory.open_stream().await,
        }
    }

    /// Waits for a stream that the peer opens.
    ///
    /// # Errors
    /// [`StreamError::Lost`] if the connection ends first.
    pub async fn accept_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        match &self.0 {
            Inner::Quic(quic) => quic.accept_stream().await,
            Inner::Memory(memory) => memory.accept_stream().await,
        }
    }

    /// Raises the window of the peer to the bandwidth-delay product of a fast path. Until then the window is small.
    ///
    /// Call it when content may follow. From then on, every stream of the connection must be read at all times.
    pub fn raise_receive_window(&self) {
        if let Inner::Quic(quic) = &self.0 {
            quic.raise_receive_window();
        }
    }

    /// Waits until the connection has ended, and returns the reason.
    pub async fn closed(&self) -> ConnectionLost {
        match &self.0 {
            Inner::Quic(quic) => quic.closed().await,
            Inner::Memory(memory) => memory.closed().await,
        }
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        match &self.0 {
            Inner::Quic(quic) => quic.is_closed(),
            Inner::Memory(memory) => memory.is_closed(),
        }
    }

    /// Waits until no datagram has arrived for `limit`, or until the connection has ended. A connection in memory is
    /// never silent.
    ///
    /// Both sides send keep-alives every few seconds, so a connection that is silent for longer is dead. Time in which
    /// this process did not run does not count as silence.
    pub async fn wait_until_silent(&self, limit: Duration) -> ConnectionLost {
        match &self.0 {
            Inner::Quic(quic) => quic.wait_until_silent(limit).await,
            Inner::Memory(memory) => memory.closed().await,
        }
    }

    /// Closes the connection. Nothing more is delivered in either direction.
    pub fn close(&self) {
        match &self.0 {
            Inner::Quic(quic) => quic.close(),
            Inner::Memory(memory) => memory.close(),
        }
    }
}
