//! The largest packet that is worth trying on the path to a peer.

use std::{net::SocketAddr, time::Duration};

use super::initial_rtt::{INITIAL_RTT, initial_rtt};

/// The largest UDP payload that is accepted and tried. quinn passes up to ten payloads to the kernel at once, and UDP
/// segmentation offload takes at most 65,507 bytes; above that, sending fails silently and path MTU discovery falls
/// back to 1,200 bytes. Packets of this size take less than half the CPU time per byte of packets of 1,452 bytes.
pub(super) const MAX_UDP_PAYLOAD: u16 = 6500;

/// The largest UDP payload that is tried on a path of unknown MTU: what Ethernet carries over IPv6 (1,500 − 48 bytes).
/// It is also quinn's default.
pub(super) const DEFAULT_UDP_PAYLOAD: u16 = 1452;

/// The MTU of Ethernet. A route with this MTU may lead into the Internet.
const ETHERNET_MTU: u32 = 1500;

/// The network of a socket. It decides what is known of a path before the first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkKind {
    /// This machine's network stack, whose routes have MTUs.
    Real,
    /// A network in memory, of which nothing is known.
    Memory,
}

impl NetworkKind {
    /// Returns the largest UDP payload that is worth trying on the path to `peer`.
    pub(super) fn max_udp_payload(self, peer: SocketAddr) -> u16 {
        match self {
            Self::Real => max_udp_payload(peer),
            Self::Memory => DEFAULT_UDP_PAYLOAD,
        }
    }

    /// Returns the round-trip time to assume before the first measurement.
    pub(super) fn initial_rtt(self, peer: SocketAddr) -> Duration {
        match self {
            Self::Real => initial_rtt(peer.ip()),
            Self::Memory => INITIAL_RTT,
        }
    }
}

/// Returns the largest UDP payload that is worth trying on the path to `peer`, according to the route. It exceeds
/// [`DEFAULT_UDP_PAYLOAD`] only if the first hop is known to carry more, as loopback and networks with jumbo frames do.
/// Path MTU discovery finds out what the other hops allow.
fn max_udp_payload(peer: SocketAddr) -> u16 {
    let peer = to_canonical(peer);
    max_udp_payload_for(route_mtu(peer), peer)
}

fn max_udp_payload_for(mtu: Option<u32>, peer: SocketAddr) -> u16 {
    /// QUIC requires a path that carries this much (RFC 9000 section 14).
    const MIN_UDP_PAYLOAD: u32 = 1200;
    let headers = if peer.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let max = match mtu {
        Some(mtu) if mtu > ETHERNET_MTU => MAX_UDP_PAYLOAD,
        None if peer.ip().is_loopback() => return MAX_UDP_PAYLOAD, // 16,384 on macOS, no limit on Windows
        _ => DEFAULT_UDP_PAYLOAD,
    };
    let payload = mtu.map_or(max.into(), |mtu| mtu.saturating_sub(headers));
    payload.clamp(MIN_UDP_PAYLOAD, max.into()) as u16
}

/// Returns the MTU of the route to `peer`, or `None` if there is no route. It is the MTU of the interface unless the
/// route has one of its own or a router has reported a smaller one (ip(7), `IP_MTU`). Sends nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn route_mtu(peer: SocketAddr) -> Option<u32> {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};

    let any = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(peer).ok()?;
    if peer.is_ipv4() { ip_mtu(&socket) } else { ipv6_mtu(&socket) }.ok()
}

/// Returns `None`: this system does not report the MTU of a route.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn route_mtu(_peer: SocketAddr) -> Option<u32> {
    None
}

/// Converts an IPv4-mapped IPv6 address to IPv4. Returns any other address unchanged, with its zone.
fn to_canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped().map_or(addr, |v4| (v4, v6.port()).into()),
        SocketAddr::V4(_) => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 9)
    }

    #[test]
    fn the_payload_is_large_only_where_the_first_hop_carries_more() {
        for (mtu, peer, expected) in [
            (Some(65_536), "127.0.0.1", 6500),
            (Some(65_536), "::1", 6500),
            (Some(65_536), "192.0.2.1", 6500), // an address of this machine
            (Some(9000), "192.0.2.1", 6500),
            (Some(6000), "192.0.2.1", 5972),
            (Some(6000), "2001:db8::1", 5952),
            (Some(1501), "192.0.2.1", 1473),
            (Some(1500), "192.0.2.1", 1452),
            (Some(1500), "2001:db8::1", 1452),
            (Some(1492), "2001:db8::1", 1444),
            (Some(1420), "192.0.2.1", 1392), // WireGuard
            (Some(1280), "2001:db8::1", 1232),
            (Some(552), "192.0.2.1", 1200), // a forged ICMP message can set this
            (Some(0), "192.0.2.1", 1200),
            (None, "192.0.2.1", 1452),
            (None, "127.0.0.1", 6500),
            (None, "::1", 6500),
        ] {
            assert_eq!(max_udp_payload_for(mtu, addr(peer)), expected, "{mtu:?} to {peer}");
        }
    }

    #[test]
    fn ten_of_the_largest_payloads_fit_into_one_offloaded_send() {
        assert!(10 * u32::from(MAX_UDP_PAYLOAD) < 65_507);
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn the_system_reports_the_mtu_of_the_loopback_route() {
        use std::net::{Ipv4Addr, Ipv6Addr};

        let loopback = addr("127.0.0.1");
        assert!(route_mtu(loopback).is_some_and(|mtu| mtu >= ETHERNET_MTU));
        assert_eq!(route_mtu((Ipv4Addr::BROADCAST, 9).into()), None, "a socket cannot connect to broadcast");
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9));
        assert_eq!(max_udp_payload(mapped), max_udp_payload(loopback));
        assert_eq!(to_canonical((Ipv6Addr::LOCALHOST, 9).into()), (Ipv6Addr::LOCALHOST, 9).into());
    }
}
