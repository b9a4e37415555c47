//! The library's interface: what a program needs to share, to download and to run a relay.
//!
//! The crate's root exports everything in it. Each of [`Share`], [`Download`] and [`Relay`] is a handle of a task that
//! works in the background; dropping the handle stops the task.

mod background_task;
mod download;
mod event_stream;
mod offer;
mod receive_options;
mod relay;
mod relay_address;
mod share;
mod share_event;
mod share_options;

pub use self::{
    download::{Download, DownloadEvent, Saved},
    offer::Offer,
    receive_options::ReceiveOptions,
    relay::{Relay, RelayOptions},
    relay_address::RelayAddress,
    share::Share,
    share_event::{ShareEvent, SharedDownload},
    share_options::ShareOptions,
};
