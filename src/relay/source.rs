//! The network that a client connects from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that a client connects from: an IPv4 address, or an IPv6 /64, which is the least that one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

/// An IPv6 /48, which one customer may also have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Site(Ipv6Addr);

impl Source {
    /// Returns one of the 256 sources that each represent many others. No client has its address (RFC 1122 section
    /// 3.2.1.3).
    pub(super) fn shared(number: u8) -> Self {
        Self(Ipv4Addr::new(0, 0, 0, number).into())
    }

    /// Returns the /48 of an IPv6 source.
    pub(super) fn site(self) -> Option<Site> {
        match self.0 {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(Site(truncate(ip, 48))),
        }
    }

    /// Returns whether the client is on this machine.
    pub(super) fn is_loopback(self) -> bool {
        // The truncated IPv6 loopback address is the unspecified one, which no client has.
        self.0.is_loopback() || self.0 == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }

    /// Returns the bytes of the prefix.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }

    /// Returns the bytes of the prefix of the site. An IPv4 address is a site of its own: the addresses of a larger
    /// prefix may belong to as many customers.
    pub(super) fn site_bytes(self) -> [u8; 16] {
        self.site().map_or(self.to_bytes(), |Site(ip)| ip.octets())
    }
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(ip.into()),
            IpAddr::V6(ip) => Self(truncate(ip, 64).into()),
        }
    }
}

/// Clears the bits of an address after its prefix.
fn truncate(ip: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source::from(ip.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(source("192.0.2.7"), source("::ffff:192.0.2.7"));
        assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
        assert_eq!(source("2001:db8:1:2::3"), source("2001:db8:1:2:ffff::"));
        assert_ne!(source("2001:db8:1:2::3"), source("2001:db8:1:3::3"));
        assert_eq!(source("2001:db8:1:2::3").site(), source("2001:db8:1:3::3").site());
        assert_ne!(source("2001:db8:1:2::3").site(), source("2001:db8:2:2::3").site());
        assert_eq!(source("192.0.2.7").site(), None);
    }

    #[test]
    fn every_loopback_address_is_on_this_machine() {
        for (ip, is_loopback) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.2", true), ("192.0.2.1", false)]
        {
            assert_eq!(source(ip).is_loopback(), is_loopback, "{ip}");
        }
        assert_ne!(source("127.0.0.2"), source("127.0.0.3"));
    }
}
