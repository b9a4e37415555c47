//! The events of a sender or a receiver, with their times.

use std::sync::{Arc, Mutex, PoisonError};

use qshare::internals::event::{Event, Events};
use tokio::time::Instant;

/// A handle to the recorded events of one process. Clones refer to the same log.
#[derive(Clone, Default)]
pub(super) struct EventLog(Arc<Mutex<Vec<(Instant, Event)>>>);

impl EventLog {
    /// Spawns a task that records all events that are sent to the returned channel.
    pub(super) fn record() -> (Events, Self) {
        let (events, mut incoming) = Events::channel();
        let log = Self::default();
        let recording = log.clone();
        tokio::spawn(async move {
            while let Some(event) = incoming.recv().await {
                recording.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event));
            }
        });
        (events, log)
    }

    /// Returns the events so far.
    pub(super) fn events(&self) -> Vec<Event> {
        self.timed_events().into_iter().map(|(_, event)| event).collect()
    }

    /// Returns the events so far with their times.
    pub(super) fn timed_events(&self) -> Vec<(Instant, Event)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
