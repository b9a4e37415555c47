//! The route of bytes that no relay forwards.

use std::net::IpAddr;

use if_addrs::Interface;

use super::{interfaces::interfaces, prefix::Prefix};
use crate::route::Route;

/// Returns the route of a connection that `peer` has made to this machine directly.
pub fn direct_route(peer: IpAddr) -> Route {
    if peer.is_loopback() { Route::Local } else { route_within(peer, &interfaces()) }
}

/// Returns the route from `peer` to a machine with these interfaces.
fn route_within(peer: IpAddr, interfaces: &[Interface]) -> Route {
    if interfaces.iter().any(|interface| interface.ip() == peer) {
        Route::Local
    } else if interfaces.iter().any(|interface| Prefix::of(interface).contains(peer)) {
        Route::Lan
    } else {
        Route::Direct
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::interfaces::tests::interface;

    #[test]
    fn a_route_depends_on_the_prefixes_of_the_interfaces() {
        let interfaces = [interface("test0", 1, "192.0.2.7/24"), interface("test0", 1, "fe80::7/64")];
        let routes = [
            ("192.0.2.7", Route::Local),
            ("192.0.2.8", Route::Lan),
            ("192.0.3.8", Route::Direct),
            ("fe80::8", Route::Lan),
            ("2001:db8::1", Route::Direct),
        ];
        for (peer, route) in routes {
            assert_eq!(route_within(peer.parse().unwrap(), &interfaces), route, "{peer}");
        }
        assert_eq!(direct_route("127.0.0.1".parse().unwrap()), Route::Local);
    }
}
