//! Finds senders on the local network by multicast DNS (RFC 6762), without any server.
//!
//! A sender announces the UDP port of its embedded relay under random names ([`LanAnnouncement`]). A receiver asks for
//! all senders ([`LanSearch`]) and gets addresses, one after another. Neither sends anything that depends on a code.
//! Answers are not authenticated: any machine on the network can send them, so an address is only a place to ask for a
//! slot.
//!
//! A receiver asks one-shot questions (RFC 6762 sections 5.1 and 6.7): from an ephemeral port, and answers go directly
//! to it. Other browsers of multicast DNS see a sender too: it announces itself to everyone on a network, answers their
//! questions, and says goodbye. Nothing is cached at either end. A full responder keeps the records of others, and a
//! flood of them fills its memory (measured with mdns-sd 0.21.7: 20 MB a second).

mod announcement;
mod asked_network;
mod found_addresses;
mod message;
mod responder;
mod schedule;
mod search;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub use self::{announcement::LanAnnouncement, search::LanSearch};

/// The type of the announced service. A receiver in another version finds it too, because versions are negotiated
/// later.
const SERVICE: &str = "_qshare._udp.local";

/// The port of multicast DNS. All answers come from it (RFC 6762 section 6).
const MDNS_PORT: u16 = 5353;

/// The groups of multicast DNS (RFC 6762 section 3).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Where senders are announced and searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanReach {
    /// By multicast on every interface except loopback and tunnels.
    Multicast,
    /// Questions go to this address only, and only its answers count. Nothing is announced. For tests, and for networks
    /// without multicast.
    Only(SocketAddr),
}
