//! A download between two ends, whatever lies between them.
//!
//! The sender runs a [`Share`]: it answers every stream that the relay opens, each on its own. The receiver runs
//! [`receive::connect`] and gets an [`Offer`] that it can list, decline or accept. Both report [`Event`]s on a bounded
//! channel and know no terminal.
//!
//! [`handshake`] turns a stream into a [`session`] (five flights, of which it does the first three), [`budget`] counts
//! guesses, [`credit`] bounds what is on its way. The sender lets receivers in at its [`door`]; [`serve`] and [`receive`] are
//! the two ends of a download.
//!
//! A session goes over a [`carrier`], which has one stream after another: [`keep`] brings them at the receiver, and
//! [`sessions`] takes them at the sender. Where that has forgotten it, its [`sender`] begins another one. [`again`] says when
//! to try, [`resumptions`] keeps what another process of the receiver comes back with.

mod again;
mod ask;
pub mod budget;
pub mod carrier;
pub mod credit;
mod door;
mod failure;
mod feed;
mod fetch;
pub mod handshake;
mod keep;
mod ledger;
mod line;
mod outline;
mod places;
pub mod receive;
mod registration;
mod resumptions;
mod sender;
mod serve;
pub mod session;
mod sessions;
pub mod share;
mod suite;
mod unpack;

use tokio::sync::mpsc;

pub use self::{
    budget::{Budget, Clock, SystemClock},
    keep::Redial,
    receive::{Offer, Planned},
    registration::{OnRegistered, Registration, Return},
    resumptions::Resumptions,
    share::{Settings, Share},
};
use crate::event::Event;
pub use crate::{
    crypto::ShareKey,
    disk::{Clash, Leftover, Source, clear, leftovers},
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
