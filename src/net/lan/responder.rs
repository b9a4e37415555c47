//! Answers questions for senders.

use std::{
    collections::BTreeSet,
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use if_addrs::Interface;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::{
    net::UdpSocket,
    select,
    time::{MissedTickBehavior, interval},
};

use super::{
    GROUP_V4, GROUP_V6, MDNS_PORT,
    message::{Announced, MAX_MESSAGE},
    prefix::Prefix,
};
use crate::net::interfaces::{interfaces, is_local_network};

/// How often the interfaces are enumerated: how long a machine that has changed its network is not found.
const INTERFACE_CHECK: Duration = Duration::from_secs(2);

/// How many messages are read between two enumerations. Reading them takes about 1 % of a core. More of them fill the
/// buffers of the sockets and cost nothing.
const MAX_MESSAGES: u32 = 5_000;

/// The sockets on which questions arrive. It keeps nothing of what it has received, so no flood costs memory.
pub(super) struct Responder {
    announced: Announced,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// The indexes of the interfaces on which the sockets are members of the groups.
    members: BTreeSet<(u32, IpVersion)>,
    /// The local networks. A question from elsewhere is not answered (RFC 6762 section 11), or anyone on the Internet
    /// could direct answers to a victim.
    networks: Vec<Interface>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum IpVersion {
    V4,
    V6,
}

impl Responder {
    /// Binds the port of multicast DNS, which programs share, and joins the groups on all local networks.
    ///
    /// # Errors
    /// Any error of the operating system, if neither IP version works.
    pub(super) fn bind(announced: Announced) -> io::Result<Self> {
        let v4 = bind((Ipv4Addr::UNSPECIFIED, MDNS_PORT).into());
        let v6 = bind((Ipv6Addr::UNSPECIFIED, MDNS_PORT).into());
        let (v4, v6) = match (v4, v6) {
            (Err(e), Err(_)) => return Err(e),
            (v4, v6) => (v4.ok(), v6.ok()),
        };
        let mut responder = Self { announced, v4, v6, members: BTreeSet::new(), networks: Vec::new() };
        responder.follow_interfaces();
        Ok(responder)
    }

    /// Answers questions. Never completes.
    pub(super) async fn run(mut self) {
        let mut check = interval(INTERFACE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut for_v4, mut for_v6) = ([0; MAX_MESSAGE + 1], [0; MAX_MESSAGE + 1]);
        let mut budget = 0;
        loop {
            let (socket, message, received) = select! {
                _ = check.tick() => {
                    self.follow_interfaces();
                    budget = MAX_MESSAGES;
                    continue;
                }
                received = receive(&self.v4, &mut for_v4), if budget > 0 => (&self.v4, &for_v4, received),
                received = receive(&self.v6, &mut for_v6), if budget > 0 => (&self.v6, &for_v6, received),
            };
            budget -= 1; // errors count too, so an error that lasts is no busy loop
            if let (Some(socket), Ok((length, source))) = (socket, received)
                && self.is_nearby(source)
                && let Some(answer) = self.announced.answer(&message[..length])
            {
                // A lost answer is asked for again. Not through tokio, which waits until the socket is known to be writable.
                let _ = SockRef::from(socket).send_to(&answer, &source.into());
            }
        }
    }

    /// Whether a one-shot question comes from a local network. Questions from the port of multicast DNS expect answers to
    /// everyone, and come from other programs.
    fn is_nearby(&self, source: SocketAddr) -> bool {
        let is_on_link = match source {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
                self.networks.iter().any(|network| network.index == Some(v6.scope_id()))
            }
            _ => self.networks.iter().any(|network| Prefix::of(network).contains(source.ip())),
        };
        is_on_link && source.port() != MDNS_PORT
    }

    /// Joins the groups on new interfaces, and leaves them on those that have gone.
    fn follow_interfaces(&mut self) {
        self.networks = interfaces();
        self.networks.retain(is_local_network);
        let version = |network: &Interface| if network.ip().is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
        let present: BTreeSet<_> =
            self.networks.iter().filter_map(|network| Some((network.index?, version(network)))).collect();
        for &(index, version) in self.members.difference(&present) {
            let _ = self.set_member(index, version, false); // the membership went with the interface
        }
        let joined = |&(index, version): &(u32, IpVersion)| {
            self.members.contains(&(index, version)) || self.set_member(index, version, true).is_ok()
        };
        self.members = present.iter().copied().filter(joined).collect(); // the next check tries the others again
    }

    fn set_member(&self, index: u32, version: IpVersion, is_member: bool) -> io::Result<()> {
        let socket = match version {
            IpVersion::V4 => &self.v4,
            IpVersion::V6 => &self.v6,
        };
        let Some(socket) = socket.as_ref().map(SockRef::from) else {
            return Ok(());
        };
        let interface = InterfaceIndexOrAddress::Index(index);
        match (version, is_member) {
            (IpVersion::V4, true) => socket.join_multicast_v4_n(&GROUP_V4, &interface),
            (IpVersion::V4, false) => socket.leave_multicast_v4_n(&GROUP_V4, &interface),
            (IpVersion::V6, true) => socket.join_multicast_v6(&GROUP_V6, index),
            (IpVersion::V6, false) => socket.leave_multicast_v6(&GROUP_V6, index),
        }
    }
}

/// Binds a socket to an address that it shares with other programs.
fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Answers have the highest TTL (RFC 6762 section 11).
    match addr.ip() {
        IpAddr::V4(_) => socket.set_ttl_v4(255)?,
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(255)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
}

/// Receives a message; never completes without a socket.
async fn receive(socket: &Option<UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => pending().await,
    }
}
