//! Accepts QUIC connections on a socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use quinn::crypto::rustls::QuicServerConfig;

use super::{
    connection::Connection,
    endpoint::{is_loopback, server_endpoint, socket_error},
    initial_rtt::INITIAL_RTT,
    path_mtu::{DEFAULT_UDP_PAYLOAD, NetworkKind},
    send_buffer::ConnectionCount,
    socket::Socket,
    socket_buffers::ClampedBuffers,
    tls::RelayIdentity,
    transport_config::{TransportOptions, Windows, transport_config},
};
use crate::{
    error::{Error, Kind, Result},
    processor::Aes,
};

/// The maximum number of connection attempts that wait to be accepted. quinn refuses further ones.
const MAX_INCOMING: usize = 1024;

/// The maximum number of bytes that quinn stores for an attempt until it is accepted: a few packets of its first
/// flight.
const INCOMING_BUFFER: u64 = 8 * 1024;

/// Accepts QUIC connections on one socket.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    clamped_buffers: Option<ClampedBuffers>,
    network_kind: NetworkKind,
    options: TransportOptions,
    connections: ConnectionCount,
    /// The configuration for clients on paths of [`DEFAULT_UDP_PAYLOAD`] and [`INITIAL_RTT`].
    default_config: quinn::ServerConfig,
}

/// Listens on the UDP address `addr`. `[::]` stands for all IPv6 and IPv4 addresses; on a machine without IPv6, for all
/// IPv4 addresses.
///
/// # Errors
/// [`Kind::Network`] if the port is in use or the address is not one of this machine.
pub fn listen(addr: SocketAddr, identity: &RelayIdentity, options: TransportOptions) -> Result<Listener> {
    let socket = Socket::bind(addr).or_else(|e| match addr.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) if e.kind() != io::ErrorKind::AddrInUse => {
            Socket::bind((Ipv4Addr::UNSPECIFIED, addr.port()).into())
        }
        _ => Err(e),
    });
    let socket = socket.map_err(|e| {
        socket_error(&format!("cannot listen on {addr}"), &e).hint("choose another port with --listen [::]:PORT")
    })?;
    listen_on(socket, identity, options)
}

/// Listens on `socket`.
///
/// # Errors
/// [`Kind::Network`] if the socket cannot be used, [`Kind::Transfer`] if TLS cannot be configured.
pub fn listen_on(socket: Socket, identity: &RelayIdentity, options: TransportOptions) -> Result<Listener> {
    let crypto = QuicServerConfig::try_from(identity.server_config(Aes::detect())?)
        .map_err(|e| Error::new(Kind::Transfer, format!("cannot configure TLS: {e}")))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let transport = transport_config(Windows::RELAY, DEFAULT_UDP_PAYLOAD, INITIAL_RTT, options.congestion);
    config.transport_config(Arc::new(transport));
    // The relay accepts or refuses each attempt at once, so few wait, and only their first packets.
    config.max_incoming(MAX_INCOMING).incoming_buffer_size(INCOMING_BUFFER);
    config.incoming_buffer_size_total(MAX_INCOMING as u64 * INCOMING_BUFFER);
    let (clamped, network_kind) = (socket.clamped_buffers(), socket.network_kind());
    let endpoint = server_endpoint(socket, config.clone(), identity)?;
    let clamped_buffers = clamped.filter(|_| !endpoint.local_addr().is_ok_and(is_loopback));
    Ok(Listener {
        endpoint,
        clamped_buffers,
        network_kind,
        options,
        connections: ConnectionCount::default(),
        default_config: config,
    })
}

impl Listener {
    /// Waits for the next incoming connection. Returns `None` once the listener is closed.
    pub async fn accept(&self) -> Option<quinn::Incoming> {
        self.endpoint.accept().await
    }

    /// Accepts a client and completes its handshake. Packets to the client may be as large as the path allows.
    ///
    /// # Errors
    /// Returns quinn's error if the handshake fails.
    pub async fn complete_handshake(&self, incoming: quinn::Incoming) -> Result<Connection, quinn::ConnectionError> {
        let (network, peer) = (self.network_kind, incoming.remote_address());
        let connecting = match (network.max_udp_payload(peer), network.initial_rtt(peer)) {
            (DEFAULT_UDP_PAYLOAD, INITIAL_RTT) => incoming.accept()?,
            (max_udp_payload, initial_rtt) => {
                let mut config = self.default_config.clone();
                let congestion = self.options.congestion;
                let transport = transport_config(Windows::RELAY, max_udp_payload, initial_rtt, congestion);
                config.transport_config(Arc::new(transport));
                incoming.accept_with(Arc::new(config))?
            }
        };
        Ok(Connection::new(connecting.await?, self.options.clone(), Windows::RELAY, self.connections.clone()))
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// The address of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The socket's buffers, if they are smaller than requested. `None` for a loopback socket.
    pub fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped_buffers
    }

    /// Closes every connection with `code`, and accepts no more.
    pub fn close(&self, code: u32) {
        self.endpoint.close(code.into(), &[]);
    }

    /// Waits until no connection is open. After [`Listener::close`] it waits until the peers are notified.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::{
        net::{RecvHalf, SendHalf, TrustPolicy, connect, path_mtu::MAX_UDP_PAYLOAD},
        state::StateDir,
    };

    /// Sends and receives 16 MiB.
    async fn exchange((mut send, mut recv): (SendHalf, RecvHalf)) {
        const CHUNK: usize = 256 * 1024;
        const CHUNKS: usize = 64;
        let write = async {
            for _ in 0..CHUNKS {
                send.write(vec![7; CHUNK].into()).await.unwrap();
            }
            send.finish();
            send.wait_until_delivered().await;
        };
        tokio::join!(write, async { while recv.read().await.unwrap().is_some() {} });
    }

    #[tokio::test]
    async fn packets_on_loopback_are_large_and_sent_in_batches() {
        let home = tempfile::tempdir().unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        let options = TransportOptions::default();
        for any in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::UNSPECIFIED, 0).into()] {
            let Ok(listener) = listen(any, &identity, options.clone()) else { continue }; // a machine without IPv6
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()));
            let server = async {
                let connection = listener.complete_handshake(listener.accept().await.unwrap()).await.unwrap();
                connection.raise_receive_window();
                exchange(connection.accept_stream().await.unwrap()).await;
                connection.quic().unwrap().stats()
            };
            let client = async {
                let connected =
                    connect(&[addr.into()], TrustPolicy::Pin(identity.pin()), options.clone()).await.unwrap();
                exchange(connected.connection.open_stream().await.unwrap()).await;
                connected.connection.quic().unwrap().stats()
            };
            for stats in <[_; 2]>::from(tokio::join!(server, client)) {
                assert_eq!(stats.path.current_mtu, MAX_UDP_PAYLOAD, "{stats:?}");
                assert_eq!(stats.path.black_holes_detected, 0, "{stats:?}");
                assert!(stats.udp_tx.datagrams > 3 * stats.udp_tx.ios, "{stats:?}");
            }
        }
    }
}
