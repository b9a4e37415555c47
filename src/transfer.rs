//! A download between two ends, over whatever path connects them.
//!
//! The sender runs a [`Share`], which serves every stream that the relay opens. The receiver calls [`offer::connect`] and
//! gets an [`PendingOffer`], which it lists, declines or accepts. Both report [`Event`]s on a bounded channel and know nothing of
//! the terminal. [`sender`] and [`receiver`] never import each other; both build on [`session`] and [`handshake`].

mod backoff;
pub mod handshake;
pub mod receiver;
mod relay_request;
pub mod sender;
pub mod session;
mod user_errors;

use tokio::sync::mpsc;

pub use self::{
    handshake::guess_budget::{Clock, GuessBudget, SystemClock},
    receiver::{
        offer::{self, PendingOffer, PlannedDownload},
        reconnect::ReconnectConfig,
        resumption_store::ResumptionStore,
    },
    sender::{
        registration::{OnRegistered, Registration, ReregisterConfig},
        share::{Share, ShareSettings},
    },
};
use crate::event::Event;
pub use crate::{
    crypto::ShareKey,
    disk::{ConflictPolicy, Source, StagedDownload, clear, leftovers},
};

/// Where a running command reports to. Bounded: a slow terminal slows the report, not the memory.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    /// A channel for events, and its other end.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        const EVENTS: usize = 256;
        let (tx, rx) = mpsc::channel(EVENTS);
        (Self(tx), rx)
    }

    /// Reports something that must not be missed.
    pub async fn report(&self, event: Event) {
        let _ = self.0.send(event).await; // nobody listens any more: nobody misses it
    }

    /// Reports something that the next report makes stale; left out while the channel is full.
    pub fn mention(&self, event: Event) {
        let _ = self.0.try_send(event);
    }
}
