//! A download between two ends, over whatever path connects them.
//!
//! The sender runs a [`Share`], which serves every stream that the relay opens. The receiver calls [`PendingOffer::receive`] and
//! gets an [`PendingOffer`], which it lists, declines or accepts. Both report [events](crate::event::Event) on a bounded channel and know nothing of
//! the terminal. [`sender`] and [`receiver`] never import each other; both build on [`session`] and [`handshake`].

mod backoff;
mod events;
pub mod handshake;
pub mod receiver;
mod relay_request;
pub mod sender;
pub mod session;
mod timeouts;
mod user_errors;

pub use self::{
    events::Events,
    handshake::{
        clock::{Clock, SystemClock},
        guess_budget::GuessBudget,
    },
    receiver::{PendingOffer, PlannedDownload, ReconnectConfig, ResumptionStore},
    sender::{
        registration::Registration,
        reregister::{OnRegistered, ReregisterConfig},
        share::{Share, ShareSettings},
    },
};
pub use crate::{
    crypto::ShareKey,
    disk::{ConflictPolicy, Source, StagedDownload},
};
