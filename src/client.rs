//! The clients: a share with its relays, and a receiver with the places where it searches for its sender.
//!
//! This module puts [`transfer`](crate::transfer), [`relay`](crate::relay) and [`net`](crate::net) together, for the
//! command line and for the [library's interface](crate::api). It neither asks nor shows anything.

mod code_plan;
mod embedded_relay;
mod left_out;
mod nearby_plan;
mod offer_request;
mod open_share;
mod receive_target;
mod relay_dialer;
mod relay_server;
mod running_shares;
mod share_relay;
mod share_store;
mod ticket_key;
pub(crate) mod udp_buffers;
mod warnings;

pub(crate) use self::{
    code_plan::{CodePlan, CodeWishes},
    left_out::{MAX_LISTED, Unsendable, report_left_out_paths, warn_of_left_out},
    offer_request::OfferRequest,
    open_share::{OpenShare, ShareRequest},
    receive_target::ReceiveTarget,
    relay_dialer::{NamedBy, relay_dialer},
    relay_server::{RelayServer, reachable_addresses, usable_addresses},
    share_store::{HeldShare, ListedShare, ShareStore},
    warnings::NEW_CODE,
};
