//! Finds senders on the local network by multicast DNS (RFC 6762), without any server.
//!
//! A sender announces the UDP port of its embedded relay under random names ([`LanAnnouncement`]). A receiver asks for
//! all announced senders ([`LanSearch`]) and gets addresses, one after another. Neither sends anything that depends on
//! a code. Answers are not authenticated: any machine on the network can send them, so an address is only a place to
//! ask for a slot.

mod announcement;
mod asked_network;
mod found_addresses;
mod message;
mod search;

use std::net::SocketAddr;

pub use self::{announcement::LanAnnouncement, search::LanSearch};

/// The type of the announced service. A receiver in another version finds it too, because versions are negotiated later.
const SERVICE: &str = "_qshare._udp.local";

/// The port of multicast DNS. All answers come from it (RFC 6762 section 6).
const MDNS_PORT: u16 = 5353;

/// Where senders are announced and searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanReach {
    /// By multicast on every interface except loopback and tunnels.
    Multicast,
    /// Questions go to this address only, and only its answers count. Nothing is announced. For tests, and for networks
    /// without multicast.
    Only(SocketAddr),
}
