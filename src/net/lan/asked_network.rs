//! One network that a search asks: a socket, and which answers are accepted there.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    task::{Context, Poll},
};

use if_addrs::Interface;
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::{io::ReadBuf, net::UdpSocket};

use super::{
    GROUP_V4, GROUP_V6, LanReach, MDNS_PORT,
    message::{self, MAX_MESSAGE},
};
use crate::net::{
    interfaces::{interfaces, is_local_network, is_virtual},
    prefix::Prefix,
};

/// The maximum number of networks. A machine with many containers has many bridges; physical interfaces come first.
const MAX_NETWORKS: usize = 32;

/// How many messages are read after each question. Two hundred senders may answer. A flood fills the socket's buffer
/// and costs nothing until the next question.
const MAX_MESSAGES: u32 = 512;

/// Where a question is sent from and to, and whose answers are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// The index of the interface. 0 for [`LanReach::Only`].
    pub(super) interface: u32,
    local: SocketAddr,
    destination: SocketAddr,
    sources: Sources,
}

/// The senders of answers that are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sources {
    /// The mDNS port of machines within these prefixes, or with link-local addresses.
    Prefixes(Vec<Prefix>),
    Only(SocketAddr),
}

impl Network {
    /// Returns the networks to ask at this moment: one for each IPv4 address, and one for IPv6 on each interface.
    pub(super) fn all(reach: LanReach) -> Vec<Self> {
        match reach {
            LanReach::Multicast => Self::of_interfaces(&interfaces(), is_virtual),
            LanReach::Only(addr) => vec![Self::only(addr)],
        }
    }

    fn only(addr: SocketAddr) -> Self {
        let any: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Self { interface: 0, local: (any, 0).into(), destination: addr, sources: Sources::Only(addr) }
    }

    fn of_interfaces(all: &[Interface], is_virtual: impl Fn(&str) -> bool) -> Vec<Self> {
        let mut all: Vec<_> = all.iter().filter(|interface| is_local_network(interface)).collect();
        // On IPv6, one question from the link-local address reaches everyone on the link.
        all.sort_by_key(|interface| (is_virtual(&interface.name), interface.index, !interface.is_link_local()));
        let mut networks: Vec<Self> = Vec::new();
        for interface in &all {
            let index = interface.index.unwrap_or_default();
            let of_interface = all.iter().filter(|other| other.index == interface.index);
            let prefixes = of_interface.map(|other| Prefix::of(other)).collect();
            let scoped = |ip, port| SocketAddr::V6(SocketAddrV6::new(ip, port, 0, index));
            let (local, destination) = match interface.ip() {
                IpAddr::V4(ip) => ((ip, 0).into(), (GROUP_V4, MDNS_PORT).into()),
                IpAddr::V6(ip) if ip.is_unicast_link_local() => (scoped(ip, 0), scoped(GROUP_V6, MDNS_PORT)),
                IpAddr::V6(ip) => ((ip, 0).into(), scoped(GROUP_V6, MDNS_PORT)),
            };
            let is_asked = |network: &Self| network.interface == index && network.local.is_ipv6();
            if local.is_ipv4() || !networks.iter().any(is_asked) {
                networks.push(Self { interface: index, local, destination, sources: Sources::Prefixes(prefixes) });
            }
        }
        networks.truncate(MAX_NETWORKS);
        networks
    }
}

impl Sources {
    fn accept(&self, source: SocketAddr, interface: u32) -> bool {
        match self {
            Self::Only(addr) => source == *addr,
            Self::Prefixes(_) if source.port() != MDNS_PORT => false,
            Self::Prefixes(prefixes) => match source {
                SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == interface,
                _ => {
                    matches!(source.ip(), IpAddr::V4(ip) if ip.is_link_local())
                        || prefixes.iter().any(|prefix| prefix.contains(source.ip()))
                }
            },
        }
    }
}

/// A socket on a network.
#[derive(Debug)]
pub(super) struct AskedNetwork {
    pub(super) network: Network,
    socket: UdpSocket,
    /// A random id, which answers must repeat.
    id: u16,
    /// How many messages may still be read before the next question.
    budget: u32,
}

impl AskedNetwork {
    /// Opens a socket on an ephemeral port. Responders answer such a port directly (RFC 6762 section 6.7), so this
    /// program needs neither the mDNS port nor a membership of the group.
    ///
    /// # Errors
    /// Any error of the operating system, for example because the interface has just gone.
    pub(super) fn open(network: Network) -> io::Result<Self> {
        let local = network.local;
        let socket = socket2::Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if network.destination.ip().is_multicast() {
            match local.ip() {
                IpAddr::V4(ip) => socket.set_multicast_if_v4(&ip)?,
                IpAddr::V6(_) => socket.set_multicast_if_v6(network.interface)?,
            }
        }
        socket.bind(&local.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { network, socket, id: rand::random(), budget: 0 })
    }

    /// Sends the question, and allows as many answers to be read. Returns whether the system has sent it.
    pub(super) fn ask(&mut self) -> bool {
        self.budget = MAX_MESSAGES;
        // Not through tokio, which cannot send before its first poll.
        SockRef::from(&self.socket).send_to(&message::question(self.id), &self.network.destination.into()).is_ok()
    }

    /// Reads messages until one of them is an acceptable answer, and returns the addresses of its senders.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Vec<SocketAddr>> {
        let mut buffer = [0; MAX_MESSAGE + 1]; // an answer that fills it is too long
        while self.budget > 0 {
            let mut buffer = ReadBuf::new(&mut buffer);
            let received = match self.socket.poll_recv_from(context, &mut buffer) {
                Poll::Ready(received) => received,
                Poll::Pending => return Poll::Pending,
            };
            self.budget -= 1;
            let Ok(source) = received else {
                continue; // an ICMP error, or a message that does not fit into the buffer (Windows)
            };
            let senders = self.senders(source, buffer.filled());
            if !senders.is_empty() {
                return Poll::Ready(senders);
            }
        }
        Poll::Pending // until the next question, which polls again
    }

    /// Returns the addresses of the senders in an answer: always those of its source, so that no answer can direct
    /// packets to another machine.
    fn senders(&self, source: SocketAddr, message: &[u8]) -> Vec<SocketAddr> {
        if !self.network.sources.accept(source, self.network.interface) {
            return Vec::new();
        }
        let at_source = |port| {
            let mut sender = source;
            sender.set_port(port);
            sender
        };
        message::sender_ports(message, self.id).into_iter().map(at_source).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::net::interfaces::tests::interface;

    fn networks(all: &[(&str, u32, &str)]) -> Vec<Network> {
        let all: Vec<_> = all.iter().map(|&(name, index, addr)| interface(name, index, addr)).collect();
        Network::of_interfaces(&all, |name| name.starts_with("virtual"))
    }

    fn asked(all: &[(&str, u32, &str)]) -> Vec<String> {
        networks(all).iter().map(|network| format!("{} {}", network.local, network.destination)).collect()
    }

    #[test]
    fn each_ipv4_address_and_each_ipv6_interface_asks() {
        let all = [
            ("test1", 3, "2001:db8::1/64"),
            ("test1", 3, "fe80::1/64"),
            ("test1", 3, "192.0.2.1/24"),
            ("test1", 3, "10.0.0.1/8"),
            ("test2", 4, "2001:db8:1::1/64"),
            ("lo", 1, "127.0.0.1/8"),
            ("lo", 1, "::1/128"),
        ];
        let expected = [
            "[fe80::1%3]:0 [ff02::fb%3]:5353",
            "192.0.2.1:0 224.0.0.251:5353",
            "10.0.0.1:0 224.0.0.251:5353",
            "[2001:db8:1::1]:0 [ff02::fb%4]:5353",
        ];
        assert_eq!(asked(&all), expected);
    }

    #[test]
    fn physical_interfaces_are_asked_first_and_the_number_is_bounded() {
        let names: Vec<_> = (0..100).map(|n| format!("10.0.{n}.1/24")).collect();
        let mut all: Vec<_> = (10..).zip(&names).map(|(index, addr)| ("virtual0", index, addr.as_str())).collect();
        all.push(("test0", 200, "192.0.2.1/24"));
        let asked = asked(&all);
        assert_eq!(asked.len(), MAX_NETWORKS);
        assert_eq!(asked[0], "192.0.2.1:0 224.0.0.251:5353");
    }

    #[test]
    fn only_the_mdns_port_of_machines_on_the_network_is_accepted() {
        let all = [("test0", 3, "192.0.2.1/25"), ("test0", 3, "fe80::1/64"), ("test0", 3, "2001:db8::1/64")];
        let sources = &networks(&all)[0].sources;
        let accepted = |source: &str| sources.accept(source.parse().unwrap(), 3);
        for source in ["192.0.2.127:5353", "169.254.1.2:5353", "[fe80::2%3]:5353", "[2001:db8::ffff]:5353"] {
            assert!(accepted(source), "{source}");
        }
        for source in [
            "192.0.2.127:5354",
            "192.0.2.128:5353",
            "127.0.0.1:5353",
            "[fe80::2%4]:5353",
            "[fe80::2]:5353",
            "[2001:db8:0:1::1]:5353",
            "[::ffff:192.0.2.127]:5353",
        ] {
            assert!(!accepted(source), "{source}");
        }
    }

    /// Floods cost nothing after a bounded number of messages.
    #[tokio::test]
    async fn a_bounded_number_of_messages_is_read_after_each_question() {
        let flooder = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let network =
            Network { local: (Ipv4Addr::LOCALHOST, 0).into(), ..Network::only(flooder.local_addr().unwrap()) };
        let mut asked = AskedNetwork::open(network).unwrap();
        let search = asked.socket.local_addr().unwrap();
        assert!(asked.ask());
        for _ in 0..MAX_MESSAGES {
            flooder.send_to(b"noise", search).unwrap();
            let before = asked.budget;
            poll_fn(|context| {
                assert!(asked.poll_answer(context).is_pending());
                if asked.budget < before { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        assert_eq!(asked.budget, 0);
        flooder.send_to(b"noise", search).unwrap();
        asked.socket.readable().await.unwrap();
        let polled = poll_fn(|context| Poll::Ready(asked.poll_answer(context))).await;
        assert!(polled.is_pending());
        assert_eq!(asked.socket.try_recv(&mut [0; 10]).unwrap(), b"noise".len());
        assert!(asked.ask());
        assert_eq!(asked.budget, MAX_MESSAGES);
    }
}
