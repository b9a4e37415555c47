//! The bounded channel on which a running command reports its events.

use tokio::sync::mpsc;

use crate::event::Event;

/// The sending end. Clones report to the same channel.
///
/// The channel is bounded, so that a slow terminal delays reports instead of filling memory.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    /// Creates a channel for 256 events and returns both ends.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        const CAPACITY: usize = 256;
        let (tx, rx) = mpsc::channel(CAPACITY);
        (Self(tx), rx)
    }

    /// Reports an event that must not be lost. Waits while the channel is full.
    pub async fn report(&self, event: Event) {
        let _ = self.0.send(event).await; // without a reader the event is not needed
    }

    /// Reports an event that the next one supersedes, such as progress. Drops the event if the channel is full.
    pub fn try_report(&self, event: Event) {
        let _ = self.0.try_send(event); // full, or without a reader
    }
}
