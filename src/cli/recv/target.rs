//! The target of `qshare recv`: a code, and where to search for its sender.

use std::iter;

use crate::{
    cli::{relay_dialer::NamedBy, settings::Settings, state_folder},
    code::{Code, CodeOrLink, Link, RelayAddr, RelayChoice, RelaySpec},
    error::Result,
    state::StateAccess,
};

/// A code, and where to search for its sender.
pub(super) struct ReceiveTarget {
    pub(super) code: Code,
    /// The relay that the link or the user names.
    pub(super) relay: Option<TargetRelay>,
    /// Whether to search this machine and the local network too. A link names the only place.
    pub(super) searches_nearby: bool,
    pub(super) state: StateAccess,
}

/// A relay that may know the sender.
pub(super) struct TargetRelay {
    /// Its addresses, the preferred one first.
    pub(super) addresses: Vec<RelayAddr>,
    pub(super) spec: RelaySpec,
    pub(super) named_by: NamedBy,
}

impl ReceiveTarget {
    /// Resolves a code or a link. A link names its relay. A bare code belongs to a sender nearby, or to one at the
    /// configured relay.
    pub(super) fn resolve(given: CodeOrLink, relay: Option<RelayChoice>, settings: &Settings) -> Result<Self> {
        let state = state_folder::open()?;
        match given {
            CodeOrLink::Link(link) => {
                let Link { relay, alternatives, code, pin } = *link;
                let spec = RelaySpec { addr: relay.clone(), pin };
                let addresses = iter::once(relay).chain(alternatives).collect();
                let relay = Some(TargetRelay { addresses, spec, named_by: NamedBy::Link });
                Ok(Self { code, relay, searches_nearby: false, state })
            }
            CodeOrLink::Code(code) => {
                let relay = settings.relay(relay)?.value.map(|spec| TargetRelay {
                    addresses: vec![spec.addr.clone()],
                    spec,
                    named_by: NamedBy::User,
                });
                Ok(Self { code, relay, searches_nearby: true, state })
            }
        }
    }

    /// Returns the name under which the download can be resumed.
    pub(super) fn place(&self) -> String {
        self.relay.as_ref().map_or_else(|| "nearby".to_owned(), |relay| relay.spec.addr.to_string())
    }
}
