//! Where a client connects from, and the tag that stands for it at a sender.

use std::net::{IpAddr, Ipv6Addr};

use tokio::time::Instant;

use super::tickets::SlotOwner;
use crate::{code::Slot, net::Connection, wire::relay::SourceTag};

/// The network that a client connects from: an IPv4 address, or an IPv6 /64, which is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    /// Returns the source of a connection, from the current address of its peer.
    pub(super) fn of(connection: &Connection) -> Self {
        Self::from(connection.remote_ip())
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

/// Clears the bits of an address behind its prefix.
fn truncate(ip: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - prefix)))
}

/// Computes the tags of sources. Its key is random, so only this process can tell which address a tag stands for.
#[derive(Debug)]
pub(super) struct SourceTagger {
    key: [u8; blake3::KEY_LEN],
    created: Instant,
}

impl SourceTagger {
    /// Creates a tagger with a random key.
    pub(super) fn new() -> Self {
        Self { key: rand::random(), created: Instant::now() }
    }

    /// Returns the tag of `source` for one share during one hour.
    pub(super) fn tag(&self, source: Source, slot: Slot, owner: SlotOwner) -> SourceTag {
        const HOUR: u64 = 60 * 60;
        let hour = self.created.elapsed().as_secs() / HOUR;
        let Source(ip) = source;
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        match ip {
            IpAddr::V4(ip) => hasher.update(&ip.octets()),
            IpAddr::V6(ip) => hasher.update(&ip.octets()),
        };
        hasher.update(slot.as_str().as_bytes()).update(owner.as_bytes()).update(&hour.to_be_bytes());
        let mut tag = SourceTag([0; 8]);
        hasher.finalize_xof().fill(&mut tag.0);
        tag
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, advance};

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
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_depends_on_the_source_the_share_and_the_hour() {
        let tagger = SourceTagger::new();
        let (slot, owner) = (Slot::from_number(77), SlotOwner::random());
        let tag = tagger.tag(source("192.0.2.7"), slot, owner);
        assert_eq!(tagger.tag(source("192.0.2.7"), slot, owner), tag);
        let others = [
            tagger.tag(source("192.0.2.8"), slot, owner),
            tagger.tag(source("192.0.2.7"), Slot::from_number(78), owner),
            tagger.tag(source("192.0.2.7"), slot, SlotOwner::random()),
            SourceTagger::new().tag(source("192.0.2.7"), slot, owner),
        ];
        assert!(others.iter().all(|other| *other != tag));
        advance(Duration::from_secs(3600)).await;
        assert_ne!(tagger.tag(source("192.0.2.7"), slot, owner), tag);
    }
}
