//! Sockets: those of this machine, both IP versions on one, and whatever else carries datagrams.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Type};

use super::route::{ORDINARY_PACKET, longest_packet};

/// What a socket is asked to buffer in each direction. The default of Linux, 208 KiB, is short for a fast line: a burst
/// of 4 MiB is 32 ms of 1 Gbit/s, and on loopback it made 4.6 Gbit/s of 3.6.
const BUFFER: usize = 4 * 1024 * 1024;

/// Where datagrams leave and arrive.
#[derive(Debug)]
pub struct Socket {
    carrier: Arc<dyn AsyncUdpSocket>,
    nature: Nature,
}

#[derive(Debug)]
enum Nature {
    /// Of this machine.
    Udp { clamped: Option<ClampedBuffers> },
    /// In memory.
    Memory { seed: [u8; 32] },
}

impl Socket {
    /// A UDP socket on `addr` with large buffers. An IPv6 socket takes IPv4 as well.
    pub(super) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = bind(addr)?;
        let clamped = ClampedBuffers::of(&socket);
        Ok(Self { carrier: TokioRuntime.wrap_udp_socket(socket)?, nature: Nature::Udp { clamped } })
    }

    /// A line in memory, for tests and benchmarks. What QUIC draws at random comes from `seed`, so that a run can be
    /// repeated: nothing that is seeded may reach a network.
    pub fn in_memory(carrier: Arc<dyn AsyncUdpSocket>, seed: [u8; 32]) -> Self {
        Self { carrier, nature: Nature::Memory { seed } }
    }

    /// How it came short of buffers, where it did.
    pub(super) fn clamped(&self) -> Option<ClampedBuffers> {
        match self.nature {
            Nature::Udp { clamped } => clamped,
            Nature::Memory { .. } => None,
        }
    }

    /// What is known of the ways from here.
    pub(super) fn ways(&self) -> Ways {
        match self.nature {
            Nature::Udp { .. } => Ways::System,
            Nature::Memory { .. } => Ways::Unknown,
        }
    }

    /// Takes it apart for an endpoint: the carrier, and the seed where it has one.
    pub(super) fn into_parts(self) -> (Arc<dyn AsyncUdpSocket>, Option<[u8; 32]>) {
        match self.nature {
            Nature::Udp { .. } => (self.carrier, None),
            Nature::Memory { seed } => (self.carrier, Some(seed)),
        }
    }
}

/// Who knows the ways to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ways {
    /// This machine.
    System,
    /// Nobody.
    Unknown,
}

impl Ways {
    /// The longest UDP payload that is worth trying on the way to `peer`.
    pub(super) fn longest_packet(self, peer: SocketAddr) -> u16 {
        match self {
            Self::System => longest_packet(peer),
            Self::Unknown => ORDINARY_PACKET,
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    ask_for(|bytes| socket.set_recv_buffer_size(bytes));
    ask_for(|bytes| socket.set_send_buffer_size(bytes));
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Linux gives what its limit allows; the BSDs and macOS refuse what is above theirs and leave the default.
fn ask_for(set: impl Fn(usize) -> io::Result<()>) {
    /// Below this, the default is no less.
    const LEAST: usize = 256 * 1024;
    let mut bytes = BUFFER;
    while bytes >= LEAST && set(bytes).is_err() {
        bytes /= 2;
    }
}

/// A socket that got smaller buffers than it asked for: it loses packets where a burst comes faster than it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClampedBuffers {
    /// Bytes that were asked for in each direction.
    pub wanted: usize,
    /// Bytes that it got for what arrives.
    pub receive: usize,
    /// Bytes that it got for what leaves.
    pub send: usize,
}

impl ClampedBuffers {
    /// What became of the buffers of `socket`; `None` where they are as large as asked for, or where the system does not
    /// tell.
    pub(super) fn of(socket: &UdpSocket) -> Option<Self> {
        /// Linux reports twice what it grants: half is for its own bookkeeping (socket(7), `SO_RCVBUF`).
        const REPORTED: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };
        let socket = socket2::SockRef::from(socket);
        let (receive, send) = (socket.recv_buffer_size().ok()?, socket.send_buffer_size().ok()?);
        Self::judge(BUFFER, receive / REPORTED, send / REPORTED)
    }

    fn judge(wanted: usize, receive: usize, send: usize) -> Option<Self> {
        (receive < wanted || send < wanted).then_some(Self { wanted, receive, send })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_a_buffer_that_is_short_is_clamped() {
        let clamped = |receive, send| ClampedBuffers { wanted: 4096, receive, send };
        assert_eq!(ClampedBuffers::judge(4096, 4096, 4096), None);
        assert_eq!(ClampedBuffers::judge(4096, 8192, 9000), None);
        assert_eq!(ClampedBuffers::judge(4096, 4095, 4096), Some(clamped(4095, 4096)));
        assert_eq!(ClampedBuffers::judge(4096, 4096, 208), Some(clamped(4096, 208)));
    }

    #[test]
    fn what_a_socket_got_is_what_the_system_allows() {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let limit = |name: &str| -> Option<usize> {
            std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok()
        };
        let (Some(receive), Some(send)) = (limit("rmem_max"), limit("wmem_max")) else { return };
        let (receive, send) = (receive.min(BUFFER), send.min(BUFFER));
        assert_eq!(ClampedBuffers::of(&socket), ClampedBuffers::judge(BUFFER, receive, send));
    }
}
