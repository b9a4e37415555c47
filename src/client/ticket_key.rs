//! The key of a relay's tickets, derived from the relay's identity.

use crate::{net::RelayIdentity, relay::TicketKey};

/// Derives the ticket key, so that tickets stay valid as long as the relay keeps its identity.
pub(crate) fn ticket_key(identity: &RelayIdentity) -> TicketKey {
    TicketKey::new(identity.derive_key("qshare relay 2026 tickets"))
}
