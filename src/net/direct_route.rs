//! The route of bytes that no relay forwards.

use std::net::IpAddr;

use if_addrs::{IfAddr, Interface};

use crate::route::Route;

/// Returns the route of a connection that `peer` has made to this machine directly.
pub fn direct_route(peer: IpAddr) -> Route {
    if peer.is_loopback() {
        return Route::Local;
    }
    classify(peer, &if_addrs::get_if_addrs().unwrap_or_default())
}

fn classify(peer: IpAddr, interfaces: &[Interface]) -> Route {
    if interfaces.iter().any(|interface| interface.ip() == peer) {
        Route::Local
    } else if interfaces.iter().any(|interface| is_on_link(&interface.addr, peer)) {
        Route::Lan
    } else {
        Route::Direct
    }
}

/// Whether `peer` has an address in the prefix of an interface.
fn is_on_link(own: &IfAddr, peer: IpAddr) -> bool {
    match (own, peer) {
        (IfAddr::V4(own), IpAddr::V4(peer)) => {
            let mask = own.netmask.to_bits();
            mask != 0 && own.ip.to_bits() & mask == peer.to_bits() & mask
        }
        (IfAddr::V6(own), IpAddr::V6(peer)) => {
            let mask = own.netmask.to_bits();
            mask != 0 && own.ip.to_bits() & mask == peer.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(ip: &str, netmask: &str) -> Interface {
        let (ip, netmask): (IpAddr, IpAddr) = (ip.parse().unwrap(), netmask.parse().unwrap());
        let addr = match (ip, netmask) {
            (IpAddr::V4(ip), IpAddr::V4(netmask)) => {
                IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen: 0, broadcast: None })
            }
            (IpAddr::V6(ip), IpAddr::V6(netmask)) => {
                IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 0, broadcast: None })
            }
            _ => panic!("two IP versions"),
        };
        Interface { name: "e0".into(), addr, index: None, oper_status: IfOperStatus::Up, is_p2p: false }
    }

    #[test]
    fn a_route_depends_on_the_prefixes_of_the_interfaces() {
        let interfaces = [interface("192.0.2.7", "255.255.255.0"), interface("fe80::7", "ffff:ffff:ffff:ffff::")];
        let routes = [
            ("192.0.2.7", Route::Local),
            ("192.0.2.8", Route::Lan),
            ("192.0.3.8", Route::Direct),
            ("fe80::8", Route::Lan),
            ("2001:db8::1", Route::Direct),
        ];
        for (peer, route) in routes {
            assert_eq!(classify(peer.parse().unwrap(), &interfaces), route, "{peer}");
        }
        assert_eq!(direct_route("127.0.0.1".parse().unwrap()), Route::Local);
    }
}
