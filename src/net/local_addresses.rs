//! The addresses of this machine on its networks.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use super::interfaces::{interfaces, is_virtual};

/// Destinations behind the default routes. They are for documentation (RFC 5737, RFC 3849), and nothing is sent to
/// them.
const FAR_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const FAR_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// Returns the addresses under which other machines can reach this one, the best ones first: the source addresses of
/// the default routes, then physical interfaces, then virtual ones such as container bridges. IPv4 comes first within
/// each group. Empty if this machine has no network.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = interfaces();
    let found =
        interfaces.iter().map(|interface| LocalAddress { ip: interface.ip(), is_virtual: is_virtual(&interface.name) });
    let routed = [FAR_V4, FAR_V6].into_iter().filter_map(|far| source_address(far).ok()).collect();
    order(found.collect(), routed)
}

/// An address of an interface that is up.
#[derive(Debug, Clone, Copy)]
struct LocalAddress {
    ip: IpAddr,
    is_virtual: bool,
}

/// Returns the address from which this machine sends to `far`.
fn source_address(far: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if far.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(far)?; // looks up the route, and sends nothing
    Ok(socket.local_addr()?.ip())
}

/// Selects and orders the addresses. `routed` are the source addresses of the default routes.
fn order(mut found: Vec<LocalAddress>, routed: Vec<IpAddr>) -> Vec<IpAddr> {
    found.extend(routed.iter().map(|&ip| LocalAddress { ip, is_virtual: false }));
    found.retain(|address| !address.ip.is_loopback() && !address.ip.is_unspecified());
    let (link_local, mut selected): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| is_link_local(&address.ip));
    if selected.is_empty() {
        // An IPv6 link-local address means something else on every machine, so it cannot be part of a link.
        selected = link_local.into_iter().filter(|address| address.ip.is_ipv4()).collect();
    }
    selected.sort_by_key(|LocalAddress { ip, is_virtual }| (!routed.contains(ip), *is_virtual, ip.is_ipv6()));
    let mut ordered = Vec::new();
    for LocalAddress { ip, .. } in selected {
        if !ordered.contains(&ip) {
            ordered.push(ip);
        }
    }
    ordered
}

/// Whether `ip` is valid on one link only.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders addresses. Those with a `~` belong to virtual interfaces.
    fn ordered(addresses: &[&str], routed: &[&str]) -> Vec<String> {
        let found = addresses.iter().map(|text| LocalAddress {
            ip: text.trim_start_matches('~').parse().unwrap(),
            is_virtual: text.starts_with('~'),
        });
        let routed = routed.iter().map(|text| text.parse().unwrap()).collect();
        order(found.collect(), routed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_default_route_comes_first_and_virtual_interfaces_last() {
        let addresses = ["~172.17.0.1", "2001:db8::1", "10.0.0.1", "~fd01::1", "192.0.2.7"];
        let expected = ["192.0.2.7", "2001:db8::1", "10.0.0.1", "172.17.0.1", "fd01::1"];
        assert_eq!(ordered(&addresses, &["192.0.2.7", "2001:db8::1"]), expected);
        assert_eq!(ordered(&["fd00::2", "10.0.0.1", "10.0.0.1"], &[]), ["10.0.0.1", "fd00::2"]);
    }

    /// As in a virtual machine whose only interface is a bridge.
    #[test]
    fn a_virtual_interface_with_the_default_route_comes_first() {
        assert_eq!(ordered(&["10.0.0.1", "~172.17.0.1"], &["172.17.0.1"]), ["172.17.0.1", "10.0.0.1"]);
    }

    #[test]
    fn link_local_addresses_are_used_only_without_others() {
        let local = ["127.0.0.1", "::1", "169.254.3.4", "fe80::1"];
        assert_eq!(ordered(&[&local[..], &["192.0.2.7"]].concat(), &[]), ["192.0.2.7"]);
        assert_eq!(ordered(&local, &[]), ["169.254.3.4"]);
        assert!(ordered(&["127.0.0.1", "::1", "fe80::1"], &[]).is_empty());
    }

    #[test]
    fn the_addresses_of_this_machine_are_not_loopback_addresses() {
        assert!(local_addresses().iter().all(|ip| !ip.is_loopback() && !ip.is_unspecified()));
    }
}
