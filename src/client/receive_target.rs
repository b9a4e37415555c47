//! The target of a receiver: a code, and where to search for its sender.

use std::iter;

use super::relay_dialer::NamedBy;
use crate::code::{Code, Link, RelayAddr, RelaySpec};

/// A code, and where to search for its sender.
pub(crate) struct ReceiveTarget {
    pub(crate) code: Code,
    /// The relay that the link or the user names.
    pub(crate) relay: Option<TargetRelay>,
    /// Whether to search this machine and the local network too. A link names the only place.
    pub(crate) searches_nearby: bool,
}

/// A relay that may know the sender.
pub(crate) struct TargetRelay {
    /// Its addresses, the preferred one first.
    pub(crate) addresses: Vec<RelayAddr>,
    pub(crate) spec: RelaySpec,
    pub(crate) named_by: NamedBy,
}

impl ReceiveTarget {
    /// Returns the target of a link, which names its relay.
    pub(crate) fn link(link: Link) -> Self {
        let Link { relay, alternatives, code, pin } = link;
        let spec = RelaySpec { addr: relay.clone(), pin };
        let addresses = iter::once(relay).chain(alternatives).collect();
        Self { code, relay: Some(TargetRelay { addresses, spec, named_by: NamedBy::Link }), searches_nearby: false }
    }

    /// Returns the target of a bare code: a sender nearby, or one at `relay`.
    pub(crate) fn code(code: Code, relay: Option<RelaySpec>) -> Self {
        let relay = relay.map(|spec| {
            let addresses = vec![spec.addr.clone()];
            TargetRelay { addresses, spec, named_by: NamedBy::User }
        });
        Self { code, relay, searches_nearby: true }
    }

    /// Returns the name under which the download can be resumed.
    pub(crate) fn place(&self) -> String {
        self.relay.as_ref().map_or_else(|| "nearby".to_owned(), |relay| relay.spec.addr.to_string())
    }
}
