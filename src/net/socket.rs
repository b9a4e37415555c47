//! A socket for datagrams: UDP for both IP versions, or a network in memory.

use std::{io, net::SocketAddr, sync::Arc};

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Type};

use super::{
    path_mtu::NetworkKind,
    socket_buffers::{self, ClampedBuffers},
};

/// A socket that sends and receives datagrams.
#[derive(Debug)]
pub struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    kind: SocketKind,
}

#[derive(Debug)]
enum SocketKind {
    Udp { clamped: Option<ClampedBuffers> },
    Memory { seed: [u8; 32] },
}

impl Socket {
    /// Binds a UDP socket with large buffers to `addr`. A socket of an IPv6 address accepts IPv4 too.
    ///
    /// # Errors
    /// Any error of the operating system.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket_buffers::enlarge(&socket);
        socket.bind(&addr.into())?;
        let clamped = ClampedBuffers::of(&socket);
        Ok(Self { inner: TokioRuntime.wrap_udp_socket(socket.into())?, kind: SocketKind::Udp { clamped } })
    }

    /// Wraps a socket of a network in memory, for tests and benchmarks. QUIC's random numbers come from `seed`, so that
    /// a run can be repeated. A seeded socket must never reach a real network.
    pub fn in_memory(inner: Arc<dyn AsyncUdpSocket>, seed: [u8; 32]) -> Self {
        Self { inner, kind: SocketKind::Memory { seed } }
    }

    /// The socket's buffers, if they are smaller than requested.
    pub(super) fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        match self.kind {
            SocketKind::Udp { clamped } => clamped,
            SocketKind::Memory { .. } => None,
        }
    }

    /// The network of this socket.
    pub(super) fn network_kind(&self) -> NetworkKind {
        match self.kind {
            SocketKind::Udp { .. } => NetworkKind::Real,
            SocketKind::Memory { .. } => NetworkKind::Memory,
        }
    }

    /// Returns the socket for quinn, and the seed of a socket in memory.
    pub(super) fn into_parts(self) -> (Arc<dyn AsyncUdpSocket>, Option<[u8; 32]>) {
        match self.kind {
            SocketKind::Udp { .. } => (self.inner, None),
            SocketKind::Memory { seed } => (self.inner, Some(seed)),
        }
    }
}
