//! The addresses of this machine on its networks.

use std::net::{IpAddr, Ipv4Addr};

/// Returns the addresses under which other machines on the same networks can reach this one, IPv4 first. Returns the
/// loopback address if there are none.
pub fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    select_addresses(interfaces.into_iter().map(|interface| interface.ip()))
}

/// Selects the reachable addresses and puts IPv4 first.
fn select_addresses(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut selected: Vec<IpAddr> = addresses.filter(|ip| !ip.is_loopback() && !is_link_local(ip)).collect();
    selected.sort_by_key(IpAddr::is_ipv6);
    selected.dedup();
    if selected.is_empty() {
        selected.push(Ipv4Addr::LOCALHOST.into());
    }
    selected
}

/// Whether `ip` is valid on one link only, so that it needs a zone to be used.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(addresses: &[&str]) -> Vec<String> {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap());
        select_addresses(addresses).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ipv4_comes_first_in_the_order_of_interfaces() {
        let addresses = ["2001:db8::1", "192.0.2.7", "fd00::2", "10.0.0.1"];
        assert_eq!(select(&addresses), ["192.0.2.7", "10.0.0.1", "2001:db8::1", "fd00::2"]);
    }

    #[test]
    fn loopback_and_link_local_addresses_are_excluded() {
        let addresses = ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "192.0.2.7"];
        assert_eq!(select(&addresses), ["192.0.2.7"]);
    }

    #[test]
    fn an_address_of_two_interfaces_is_listed_once() {
        assert_eq!(select(&["192.0.2.7", "192.0.2.7", "2001:db8::1"]), ["192.0.2.7", "2001:db8::1"]);
    }

    #[test]
    fn a_machine_without_a_network_has_its_loopback_address() {
        assert_eq!(select(&[]), ["127.0.0.1"]);
        assert_eq!(select(&["::1", "fe80::1"]), ["127.0.0.1"]);
    }
}
