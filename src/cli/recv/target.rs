//! The target of `qshare recv`: a code, and the relay that knows it.

use std::iter;

use crate::{
    cli::{config, relay_dialer::NamedBy, running_shares},
    code::{Code, CodeOrLink, Link, RelayAddr, RelayChoice, RelaySpec},
    error::{Error, Kind, Result},
    state::{StateAccess, StateDir},
};

/// A code, and the relay that knows it.
pub(super) struct ReceiveTarget {
    pub(super) code: Code,
    /// The addresses of the relay, the preferred one first.
    pub(super) addresses: Vec<RelayAddr>,
    pub(super) spec: RelaySpec,
    pub(super) named_by: NamedBy,
    pub(super) state: StateAccess,
}

impl ReceiveTarget {
    /// Resolves a code or a link. A link names its relay. A bare code belongs to the configured relay; without one, to
    /// the embedded relay of a share on this machine.
    pub(super) fn resolve(given: CodeOrLink, relay: Option<RelayChoice>) -> Result<Self> {
        let state = config::open_state()?;
        let code = match given {
            CodeOrLink::Code(code) => code,
            CodeOrLink::Link(link) => {
                let Link { relay, alternatives, code, pin } = *link;
                let spec = RelaySpec { addr: relay.clone(), pin };
                let addresses = iter::once(relay).chain(alternatives).collect();
                return Ok(Self { code, addresses, spec, named_by: NamedBy::Link, state });
            }
        };
        let (spec, named_by) = match config::resolve_relay(relay)? {
            Some(spec) => (spec, NamedBy::User),
            None => (Self::find_on_this_machine(&code, state.writable())?, NamedBy::Link),
        };
        Ok(Self { code, addresses: vec![spec.addr.clone()], spec, named_by, state })
    }

    fn find_on_this_machine(code: &Code, state: Option<&StateDir>) -> Result<RelaySpec> {
        match state.map(|state| running_shares::find_address(state, code.slot())).transpose()?.flatten() {
            Some(address) => Ok(RelaySpec { addr: address.addr.into(), pin: Some(address.pin) }),
            None => {
                let message = "no relay is configured, and no sender on this machine has this code";
                let hint = "use the sender's link, or pass its relay with --relay HOST";
                Err(Error::new(Kind::NotFound, message).hint(hint))
            }
        }
    }
}
