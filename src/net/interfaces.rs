//! The network interfaces of this machine.

use std::path::{Path, PathBuf};

use if_addrs::Interface;

/// The addresses of all interfaces that are up: one entry for each address. Empty if the system does not list them.
pub(super) fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter().filter(Interface::is_oper_up).collect()
}

/// Whether an interface belongs to a network on which machines can find each other: it is up, and neither loopback nor
/// a tunnel. Peers behind a tunnel are not nearby, and most tunnels carry no multicast.
pub(super) fn is_local_network(interface: &Interface) -> bool {
    /// Tunnels that do not call themselves point-to-point on every system, and Apple's links between devices.
    const PREFIXES: [&str; 9] = ["tun", "tap", "utun", "wg", "ppp", "ipsec", "tailscale", "awdl", "llw"];
    let name = &interface.name;
    interface.is_oper_up()
        && !interface.is_loopback()
        && !interface.is_p2p()
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !system_path(name).join("tun_flags").exists()
}

/// Whether no cable and no antenna belongs to an interface: containers and virtual machines have such bridges.
pub(super) fn is_virtual(name: &str) -> bool {
    const PREFIXES: [&str; 10] =
        ["docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "podman", "lxc", "vEthernet"];
    let system = system_path(name);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || (system.exists() && !system.join("device").exists())
}

/// Where Linux describes an interface. No such path exists on other systems.
fn system_path(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    /// Returns an interface that is up. `addr` is an address with the length of its prefix.
    pub(in crate::net) fn interface(name: &str, index: u32, addr: &str) -> Interface {
        let (ip, length) = addr.split_once('/').unwrap();
        let prefixlen = length.parse().unwrap();
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => IfAddr::V4(Ifv4Addr { ip, netmask: Ipv4Addr::BROADCAST, prefixlen, broadcast: None }),
            IpAddr::V6(ip) => IfAddr::V6(Ifv6Addr { ip, netmask: Ipv6Addr::UNSPECIFIED, prefixlen, broadcast: None }),
        };
        Interface {
            name: name.to_owned(),
            addr,
            index: Some(index),
            oper_status: IfOperStatus::Up,
            is_p2p: false,
            #[cfg(windows)]
            adapter_name: String::new(),
        }
    }

    #[test]
    fn tunnels_and_loopback_are_no_local_networks() {
        let usual = interface("test0", 7, "10.0.0.1/24");
        assert!(is_local_network(&usual));
        assert!(!is_local_network(&Interface { is_p2p: true, ..usual.clone() }));
        assert!(!is_local_network(&Interface { oper_status: IfOperStatus::Down, ..usual }));
        assert!(!is_local_network(&interface("test0", 7, "127.0.0.1/8")));
        for name in ["tun0", "wg0", "utun3", "tailscale0", "awdl0"] {
            assert!(!is_local_network(&interface(name, 7, "10.0.0.1/24")), "{name}");
        }
    }
}
