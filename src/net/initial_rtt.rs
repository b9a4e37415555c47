//! The round-trip time that a connection assumes before its first measurement.

use std::{net::IpAddr, time::Duration};

/// The assumed round-trip time of a connection before the first measurement. A lost packet of the handshake is sent
/// again after three times this time. With quinn's default, which follows RFC 9002, that is a second. On a path with a
/// longer round trip, the handshake is sent twice.
pub(super) const INITIAL_RTT: Duration = Duration::from_millis(100);

/// The same for a connection within a local network, where a user waits for the first of several relays that answers.
const NEARBY_INITIAL_RTT: Duration = Duration::from_millis(50);

/// Returns the assumed round-trip time to an address.
pub(super) fn initial_rtt(ip: IpAddr) -> Duration {
    let is_nearby = match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if is_nearby { NEARBY_INITIAL_RTT } else { INITIAL_RTT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_local_networks_are_near() {
        for near in ["127.0.0.1", "::ffff:192.168.1.7", "10.0.0.1", "169.254.1.1", "fe80::1", "fd00::1", "::1"] {
            assert_eq!(initial_rtt(near.parse().unwrap()), NEARBY_INITIAL_RTT, "{near}");
        }
        for far in ["192.0.2.7", "2001:db8::1"] {
            assert_eq!(initial_rtt(far.parse().unwrap()), INITIAL_RTT, "{far}");
        }
    }
}
