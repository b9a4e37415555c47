//! The addresses of a network.

use std::net::IpAddr;

use if_addrs::{IfAddr, Interface};

/// The addresses that share their first bits with the address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    ip: IpAddr,
    length: u8,
}

impl Prefix {
    /// Returns the prefix of an address of an interface.
    pub(super) fn of(interface: &Interface) -> Self {
        match &interface.addr {
            IfAddr::V4(v4) => Self { ip: v4.ip.into(), length: v4.prefixlen },
            IfAddr::V6(v6) => Self { ip: v6.ip.into(), length: v6.prefixlen },
        }
    }

    /// Whether `ip` is within the prefix. A prefix of length 0 is unknown and contains nothing.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        let shift = |bits: u32| bits.saturating_sub(self.length.into());
        self.length > 0
            && match (ip, self.ip) {
                (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).unbounded_shr(shift(32)) == 0,
                (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).unbounded_shr(shift(128)) == 0,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::interfaces::tests::interface;

    #[test]
    fn the_length_decides_and_an_unknown_prefix_contains_nothing() {
        let contains =
            |prefix: &str, ip: &str| Prefix::of(&interface("test0", 1, prefix)).contains(ip.parse().unwrap());
        assert!(contains("192.0.2.1/25", "192.0.2.127") && !contains("192.0.2.1/25", "192.0.2.128"));
        assert!(contains("192.0.2.1/32", "192.0.2.1") && !contains("192.0.2.1/32", "192.0.2.2"));
        assert!(contains("2001:db8::1/128", "2001:db8::1") && !contains("2001:db8::1/128", "2001:db8::2"));
        assert!(contains("128.0.0.1/1", "200.0.0.1") && !contains("128.0.0.1/1", "100.0.0.1"));
        assert!(!contains("192.0.2.1/0", "192.0.2.1") && !contains("192.0.2.1/24", "::ffff:192.0.2.1"));
    }
}
