//! How long a packet is worth trying on the way to a peer.

use std::net::SocketAddr;

/// The longest UDP payload that is taken and tried. Ten of them, as many as quinn hands to the kernel at once, must stay
/// below the 65,507 bytes that UDP segmentation offload takes: above, sending fails silently and path discovery falls
/// back to 1,200. Packets of this length cost less than half the CPU for each byte of those of 1,452.
pub(super) const LONGEST_PACKET: u16 = 6500;

/// The longest UDP payload that is tried where nothing speaks for more: what Ethernet carries with IPv6 (1,500 − 48),
/// and quinn's default.
pub(super) const ORDINARY_PACKET: u16 = 1452;

/// An Ethernet's MTU. Where this machine knows no more than that, the Internet may begin behind it.
const ETHERNET: u32 = 1500;

/// The longest UDP payload that is worth trying to `peer`, from what this machine knows of the way. A longer one than
/// [`ORDINARY_PACKET`] goes where the way is known to begin with more: on loopback and in networks with jumbo frames.
/// What the rest of the way allows is for discovery to find out.
pub(super) fn longest_packet(peer: SocketAddr) -> u16 {
    let peer = canonical(peer);
    longest_within(route_mtu(peer), peer)
}

fn longest_within(mtu: Option<u32>, peer: SocketAddr) -> u16 {
    /// Below this, QUIC does not work (RFC 9000 section 14).
    const SHORTEST: u32 = 1200;
    let headers = if peer.is_ipv4() { 20 + 8 } else { 40 + 8 };
    let most = match mtu {
        Some(mtu) if mtu > ETHERNET => LONGEST_PACKET,
        None if peer.ip().is_loopback() => return LONGEST_PACKET, // 16,384 on macOS, no limit on Windows
        _ => ORDINARY_PACKET,
    };
    let room = mtu.map_or(most.into(), |mtu| mtu.saturating_sub(headers));
    room.clamp(SHORTEST, most.into()) as u16
}

/// How long an IP packet may be on the way to `peer`, as far as the system knows: the MTU of the route, which is that of
/// its interface unless the route has one of its own or a router has asked for less (ip(7), `IP_MTU`). Nothing is sent.
/// `None` where there is no way.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn route_mtu(peer: SocketAddr) -> Option<u32> {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};

    let any = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(peer).ok()?;
    if peer.is_ipv4() { ip_mtu(&socket) } else { ipv6_mtu(&socket) }.ok()
}

/// Other systems do not tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn route_mtu(_peer: SocketAddr) -> Option<u32> {
    None
}

/// An IPv4 address that an IPv6 socket shows as IPv6, as what it is. Of others, the zone is kept.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped().map_or(addr, |v4| (v4, v6.port()).into()),
        SocketAddr::V4(_) => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 9)
    }

    #[test]
    fn longer_packets_go_where_the_way_begins_with_more() {
        for (mtu, peer, longest) in [
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
            (Some(552), "192.0.2.1", 1200), // what anybody's ICMP may have made the system believe
            (Some(0), "192.0.2.1", 1200),
            (None, "192.0.2.1", 1452),
            (None, "127.0.0.1", 6500),
            (None, "::1", 6500),
        ] {
            assert_eq!(longest_within(mtu, to(peer)), longest, "{mtu:?} to {peer}");
        }
    }

    #[test]
    fn the_offload_takes_ten_of_the_longest() {
        assert!(10 * u32::from(LONGEST_PACKET) < 65_507);
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn the_system_knows_the_way_to_this_machine() {
        use std::net::{Ipv4Addr, Ipv6Addr};

        let near = to("127.0.0.1");
        assert!(route_mtu(near).is_some_and(|mtu| mtu >= ETHERNET));
        assert_eq!(route_mtu((Ipv4Addr::BROADCAST, 9).into()), None, "nobody in particular is there");
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9));
        assert_eq!(longest_packet(mapped), longest_packet(near));
        assert_eq!(canonical((Ipv6Addr::LOCALHOST, 9).into()), (Ipv6Addr::LOCALHOST, 9).into());
    }
}
