//! The tags that let a sender distinguish sources.

use tokio::time::Instant;

use super::{limits::HOUR, source::Source, tickets::SlotOwner};
use crate::{
    code::Slot,
    wire::relay::{SiteTag, SourceTag},
};

/// Computes the tags of sources. Its key is random, so only this process can map a tag to an address.
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
        let hash = |label: &[u8; 4], prefix: [u8; 16]| {
            let hour = self.created.elapsed().as_secs() / HOUR.as_secs();
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            hasher.update(label).update(&prefix).update(slot.as_str().as_bytes());
            hasher.update(owner.as_bytes()).update(&hour.to_be_bytes());
            let mut tag = [0; 8];
            hasher.finalize_xof().fill(&mut tag);
            tag
        };
        SourceTag { site: SiteTag(hash(b"site", source.site_bytes())), network: hash(b"netw", source.to_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::{Duration, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tag_depends_on_the_source_the_share_and_the_hour() {
        let [source, other_source] = [7, 8].map(|n| Source::from(std::net::IpAddr::from(Ipv4Addr::new(192, 0, 2, n))));
        let tagger = SourceTagger::new();
        let (slot, owner) = (Slot::from_number(77), SlotOwner::random());
        let tag = tagger.tag(source, slot, owner);
        assert_eq!(tagger.tag(source, slot, owner), tag);
        let others = [
            tagger.tag(other_source, slot, owner),
            tagger.tag(source, Slot::from_number(78), owner),
            tagger.tag(source, slot, SlotOwner::random()),
            SourceTagger::new().tag(source, slot, owner),
        ];
        assert!(others.iter().all(|other| other.network != tag.network && other.site != tag.site));
        advance(Duration::from_secs(3600)).await;
        let later = tagger.tag(source, slot, owner);
        assert!(later.network != tag.network && later.site != tag.site);
    }

    #[test]
    fn the_networks_of_a_site_share_the_tag_of_the_site() {
        let tagger = SourceTagger::new();
        let (slot, owner) = (Slot::from_number(77), SlotOwner::random());
        let site = |ip: &str| tagger.tag(Source::from(ip.parse::<std::net::IpAddr>().unwrap()), slot, owner).site;
        assert_eq!(site("2001:db8:1:2::3"), site("2001:db8:1:ffff::3"));
        assert_ne!(site("2001:db8:1:2::3"), site("2001:db8:2:2::3"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
    }
}
