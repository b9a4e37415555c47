//! Announces a sender and answers questions for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    ops::RangeInclusive,
    time::Duration,
};

use if_addrs::Interface;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::{
    net::UdpSocket,
    select,
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    GROUP_V4, GROUP_V6, MDNS_PORT,
    message::{Announced, MAX_MESSAGE},
    schedule::Schedule,
};
use crate::net::{
    interfaces::{interfaces, is_local_network},
    prefix::Prefix,
};

/// How often the interfaces are enumerated: how long a machine that has changed its network is not found.
const INTERFACE_CHECK: Duration = Duration::from_secs(2);

/// How many messages are read between two enumerations. Reading them takes about 1 % of a core. More of them fill the
/// buffers of the sockets and cost nothing.
const MAX_MESSAGES: u32 = 5_000;

/// The delay of an answer to everyone, in milliseconds. It is random, because all senders get the question at the same
/// time (RFC 6762 section 6).
const ANSWER_DELAY: RangeInclusive<u64> = 20..=120;

/// Announces a sender and answers questions for it. It keeps nothing of what it has received, so no flood costs memory.
pub(super) struct Responder {
    announced: Announced,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// The links on which the sockets are members of the groups.
    members: BTreeMap<Link, Schedule>,
    /// The local networks. A question from elsewhere is not answered (RFC 6762 section 11), or anyone on the Internet
    /// could direct answers to a victim.
    networks: Vec<Interface>,
}

/// An interface and an IP version. The two versions are separate links (RFC 6762 section 20): a machine may have only
/// one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    /// The index of the interface.
    interface: u32,
    version: IpVersion,
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
        let mut responder = Self { announced, v4, v6, members: BTreeMap::new(), networks: Vec::new() };
        responder.follow_interfaces();
        Ok(responder)
    }

    /// Announces the sender and answers questions until the other end of `stopped` is dropped. Says goodbye then.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<Infallible>) {
        let mut check = interval(INTERFACE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut for_v4, mut for_v6) = ([0; MAX_MESSAGE + 1], [0; MAX_MESSAGE + 1]);
        let mut budget = 0;
        loop {
            let due = self.members.values().filter_map(Schedule::due).min();
            let (message, received) = select! {
                _ = &mut stopped => break,
                _ = check.tick() => {
                    self.follow_interfaces();
                    budget = MAX_MESSAGES;
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.announce();
                    continue;
                }
                received = receive(&self.v4, &mut for_v4), if budget > 0 => (&for_v4, received),
                received = receive(&self.v6, &mut for_v6), if budget > 0 => (&for_v6, received),
            };
            budget -= 1; // errors count too, so an error that lasts is no busy loop
            if let Ok((length, source)) = received {
                self.answer(&message[..length], source);
            }
        }
        self.say_goodbye();
    }

    /// Answers a question from a local network: everyone, if it comes from the port of multicast DNS, as those of
    /// browsers do; otherwise its source (RFC 6762 section 6.7).
    fn answer(&mut self, message: &[u8], source: SocketAddr) {
        let version = IpVersion::of(source.ip());
        let nearby = self.networks.iter().filter(|network| is_on(network, source));
        let links: BTreeSet<_> =
            nearby.filter_map(|network| Some(Link { interface: network.index?, version })).collect();
        if links.is_empty() {
            return;
        }
        if source.port() == MDNS_PORT {
            links.into_iter().for_each(|link| self.answer_everyone(message, link));
        } else if let Some(answer) = self.announced.answer(message)
            && let Ok(socket) = self.socket(version)
        {
            // A lost answer is asked for again. Not through tokio, which waits until the socket is known to be
            // writable.
            let _ = socket.send_to(&answer, &source.into());
        }
    }

    /// Schedules an announcement on a link if `message` asks for it and none is scheduled.
    fn answer_everyone(&mut self, message: &[u8], link: Link) {
        let addresses = self.addresses(link.interface);
        if let Some(schedule) = self.members.get_mut(&link)
            && schedule.due().is_none() // most messages of a flood are not even parsed
            && self.announced.is_asked_for(message, &addresses)
        {
            schedule.request(Instant::now() + Duration::from_millis(rand::random_range(ANSWER_DELAY)));
        }
    }

    /// Sends the announcements that are due.
    fn announce(&mut self) {
        let now = Instant::now();
        let due = self.members.iter().filter(|(_, schedule)| schedule.due().is_some_and(|due| due <= now));
        let due: Vec<_> = due.map(|(&link, _)| link).collect();
        for link in due {
            let is_sent = self.send(link, &self.announced.announcement(&self.addresses(link.interface))).is_ok();
            if let Some(schedule) = self.members.get_mut(&link) {
                schedule.note_attempt(now, is_sent);
            }
        }
    }

    fn say_goodbye(&self) {
        for &link in self.members.keys() {
            // Caches drop the records after a while without it.
            let _ = self.send(link, &self.announced.goodbye(&self.addresses(link.interface)));
        }
    }

    /// Sends a message to everyone on a link. Does not wait.
    fn send(&self, link: Link, message: &[u8]) -> io::Result<()> {
        let socket = self.socket(link.version)?;
        let group = match link.version {
            IpVersion::V4 => {
                let to_v4 = |ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None };
                let local = self.addresses(link.interface).into_iter().find_map(to_v4);
                socket.set_multicast_if_v4(&local.ok_or(io::ErrorKind::AddrNotAvailable)?)?;
                SocketAddr::from((GROUP_V4, MDNS_PORT))
            }
            IpVersion::V6 => {
                socket.set_multicast_if_v6(link.interface)?;
                SocketAddrV6::new(GROUP_V6, MDNS_PORT, 0, link.interface).into()
            }
        };
        socket.send_to(message, &group.into()).map(drop)
    }

    /// The addresses of an interface.
    fn addresses(&self, interface: u32) -> Vec<IpAddr> {
        self.networks.iter().filter(|network| network.index == Some(interface)).map(Interface::ip).collect()
    }

    /// Joins the groups on new links, where the sender is announced then, and leaves them on those that have gone.
    fn follow_interfaces(&mut self) {
        self.networks = interfaces();
        self.networks.retain(is_local_network);
        let link = |network: &Interface| Some(Link { interface: network.index?, version: IpVersion::of(network.ip()) });
        let present: BTreeSet<_> = self.networks.iter().filter_map(link).collect();
        let gone: Vec<_> = self.members.keys().copied().filter(|link| !present.contains(link)).collect();
        for link in gone {
            self.members.remove(&link);
            let _ = self.set_member(link, false); // the membership went with the interface
        }
        for link in present {
            // The next check tries again if this fails.
            if !self.members.contains_key(&link) && self.set_member(link, true).is_ok() {
                self.members.insert(link, Schedule::new(Instant::now()));
            }
        }
    }

    fn set_member(&self, link: Link, is_member: bool) -> io::Result<()> {
        let socket = self.socket(link.version)?;
        let interface = InterfaceIndexOrAddress::Index(link.interface);
        match (link.version, is_member) {
            (IpVersion::V4, true) => socket.join_multicast_v4_n(&GROUP_V4, &interface),
            (IpVersion::V4, false) => socket.leave_multicast_v4_n(&GROUP_V4, &interface),
            (IpVersion::V6, true) => socket.join_multicast_v6(&GROUP_V6, link.interface),
            (IpVersion::V6, false) => socket.leave_multicast_v6(&GROUP_V6, link.interface),
        }
    }

    fn socket(&self, version: IpVersion) -> io::Result<SockRef<'_>> {
        let socket = match version {
            IpVersion::V4 => &self.v4,
            IpVersion::V6 => &self.v6,
        };
        Ok(SockRef::from(socket.as_ref().ok_or(io::ErrorKind::Unsupported)?))
    }
}

impl IpVersion {
    fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Whether `source` is on this network.
fn is_on(network: &Interface, source: SocketAddr) -> bool {
    match source {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => network.index == Some(v6.scope_id()),
        _ => Prefix::of(network).contains(source.ip()),
    }
}

/// Binds a socket to an address that it shares with other programs.
fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Messages have the highest TTL (RFC 6762 section 11). Browsers on this machine get them too, which is the default.
    match addr.ip() {
        IpAddr::V4(_) => {
            socket.set_ttl_v4(255)?;
            socket.set_multicast_ttl_v4(255)?;
        }
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(255)?;
            socket.set_multicast_hops_v6(255)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::interfaces::tests::interface;

    #[test]
    fn sources_on_other_networks_are_ignored_from_every_port() {
        let network = |addr, source: &str| is_on(&interface("test0", 7, addr), source.parse().unwrap());
        for port in [MDNS_PORT, 50_000] {
            assert!(network("192.0.2.1/24", &format!("192.0.2.9:{port}")));
            assert!(!network("192.0.2.1/24", &format!("198.51.100.9:{port}")));
            assert!(network("2001:db8::1/64", &format!("[fe80::9%7]:{port}")));
            assert!(!network("2001:db8::1/64", &format!("[fe80::9%8]:{port}")));
            assert!(!network("2001:db8::1/64", &format!("[2001:db8:1::9]:{port}")));
        }
    }

    #[tokio::test]
    async fn messages_to_everyone_have_the_highest_ttl_and_stay_visible_on_this_machine() {
        let v4 = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let v4 = SockRef::from(&v4);
        assert_eq!((v4.multicast_ttl_v4().unwrap(), v4.multicast_loop_v4().unwrap()), (255, true));
        if let Ok(v6) = bind((Ipv6Addr::LOCALHOST, 0).into()) {
            let v6 = SockRef::from(&v6);
            assert_eq!((v6.multicast_hops_v6().unwrap(), v6.multicast_loop_v6().unwrap()), (255, true));
        }
    }
}
