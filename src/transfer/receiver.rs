//! The receiver's half of a transfer: from a code to saved files.
//!
//! - [`connect`] reaches the sender, with retries. In each attempt, the configured relay and those that [`nearby`]
//!   finds [`race`] for a [`key_exchange`]; [`open_session`] makes a [`confirmed_session`] of the winner, and
//!   [`leftovers`] ends the others.
//! - [`offer`] shows the manifest; [`destination`] plans where its entries go.
//! - [`unsupported`] names what the disk cannot hold.
//! - [`download`] downloads in one session after another. In each of them [`session_download`] sends the
//!   [`request`] and runs the [`pipeline`] into the [`file_writer`]. Meanwhile [`group_offer`] hashes the staged data.
//! - [`completion`] reports the end to the sender. [`session_end`] reports every other outcome.
//! - [`reconnect`] keeps a session alive while its streams fail: [`reconnect_task`] watches the stream, and
//!   [`reattach`] attaches another one.
//! - [`resumption_store`] lets a later process resume the download.

pub(super) mod completion;
mod confirmed_session;
pub(super) mod connect;
pub(super) mod destination;
mod done_delivery;
mod download;
pub(super) mod file_writer;
mod finished_download;
pub(super) mod group_offer;
mod key_exchange;
mod leftovers;
pub(super) mod nearby;
pub(super) mod offer;
mod offer_summary;
pub(super) mod open_session;
mod open_session_error;
pub(super) mod output_download;
pub(super) mod pipeline;
mod progress;
mod race;
pub(super) mod reattach;
mod receive_error;
mod reconnect;
mod reconnect_config;
mod reconnect_task;
pub(super) mod request;
pub(super) mod resumption_store;
mod session_download;
mod session_end;
mod stall_detector;
mod unsupported;

pub use self::{
    destination::Destination,
    download::{DownloadEnd, PlannedDownload},
    nearby::{Nearby, NearbySearch},
    offer::PendingOffer,
    output_download::OutputEnd,
    reconnect_config::ReconnectConfig,
    resumption_store::ResumptionStore,
};
