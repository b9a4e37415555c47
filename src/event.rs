//! The events that a running command reports. Each [`Event`] is one line of `--json`; the terminal shows it as text.
//!
//! The JSON names of events and fields are stable. Scripts must ignore events and fields that they do not know.

mod command_event;
mod payload;
mod queue;

pub use self::{
    command_event::Event,
    payload::{
        Check, CheckStatus, DownloadStatus, Finished, InterruptedDownload, InterruptedShare, LeftOutCount,
        LeftOutEntry, ListedEntry, NameAction, OfferLimit, OfferSummary, OfferedName, SCHEMA, Sharing, ShownSetting,
        StopReason, UnsupportedEntry,
    },
    queue::{EventReceiver, Events},
};
