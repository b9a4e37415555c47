//! The bounded queue from a running command to its display.
//!
//! A display may stop for hours: the user presses Ctrl-S, or a script does not read its pipe. The work must not wait
//! for it. So a report never waits, and a full queue loses the event that is missed least.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::command_event::Event;
use crate::sync::Mutex;

/// The most events in the queue.
const CAPACITY: usize = 4096;

/// The most events in the queue for which a producer of long results continues.
const RESULT_CAPACITY: usize = 64;

/// The producer's end of a queue. Clones report to the same queue.
#[derive(Debug)]
pub struct Events(Arc<Shared>);

/// The display's end of a queue.
#[derive(Debug)]
pub struct EventReceiver(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when an event arrives or the queue closes.
    arrived: Notify,
    /// Notified when an event is taken, and when the receiver asks for the next one.
    taken: Notify,
    producers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// Selects the events that are queued, if the queue is unattended.
    unattended: Option<fn(&Event) -> bool>,
    /// Whether the receiver still works on the event that it took last.
    is_busy: bool,
    is_closed: bool,
    /// The events that were lost because the queue was full.
    lost: u64,
}

impl Events {
    /// Creates a queue and returns both ends.
    pub fn channel() -> (Self, EventReceiver) {
        let shared = Arc::<Shared>::default();
        shared.producers.store(1, Ordering::Relaxed);
        (Self(Arc::clone(&shared)), EventReceiver(shared))
    }

    /// Creates a queue that may never be read: nothing waits for its reader, and only events for which `is_wanted` is
    /// true are queued.
    pub fn unattended(is_wanted: fn(&Event) -> bool) -> (Self, EventReceiver) {
        let (events, receiver) = Self::channel();
        events.0.queue.lock().unattended = Some(is_wanted);
        (events, receiver)
    }

    /// Reports an event. Progress replaces older progress of the same download.
    pub fn report(&self, event: Event) {
        self.0.queue.lock().push(event);
        self.0.arrived.notify_one();
    }

    /// Reports a part of a long result once the display has shown most of the parts before it.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the event is not reported.
    pub async fn report_result(&self, event: Event) {
        self.wait_until(|queue| queue.events.len() < RESULT_CAPACITY).await;
        self.report(event);
    }

    /// Waits until the display has shown everything that was reported so far.
    pub async fn flush(&self) {
        self.wait_until(|queue| queue.events.is_empty() && !queue.is_busy).await;
    }

    /// Closes the queue: the display shows what it contains, and later reports are ignored.
    pub fn close(&self) {
        self.0.close();
    }

    async fn wait_until(&self, condition: impl Fn(&Queue) -> bool) {
        loop {
            let taken = self.0.taken.notified();
            {
                let queue = self.0.queue.lock();
                if queue.is_closed || queue.unattended.is_some() || condition(&queue) {
                    return;
                }
            }
            taken.await;
        }
    }
}

impl Clone for Events {
    fn clone(&self) -> Self {
        self.0.producers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if self.0.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.close();
        }
    }
}

impl EventReceiver {
    /// Waits for the next event. Returns `None` when the queue is empty and closed, or all producers are gone.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            let arrived = self.0.arrived.notified();
            let (next, is_closed) = self.0.take(); // at once: the last event may arrive right before the end
            if next.is_some() || is_closed {
                return next;
            }
            arrived.await;
        }
    }

    /// Takes the next event, if there is one.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.0.take().0
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        self.0.close(); // nobody waits for a display that is gone
    }
}

impl Shared {
    /// Takes the next event, if there is one. Also returns whether the queue is closed.
    fn take(&self) -> (Option<Event>, bool) {
        let taken = {
            let mut queue = self.queue.lock();
            (queue.pop(), queue.is_closed)
        };
        self.taken.notify_waiters();
        taken
    }

    fn close(&self) {
        self.queue.lock().is_closed = true;
        self.arrived.notify_one();
        self.taken.notify_waiters();
    }
}

impl Queue {
    fn push(&mut self, event: Event) {
        if self.is_closed || self.unattended.is_some_and(|is_wanted| !is_wanted(&event)) {
            return;
        }
        if let Some(older) = self.events.iter().rposition(|older| event.supersedes(older)) {
            self.events.remove(older); // what happened in between stays before the new progress
        }
        if self.events.len() == CAPACITY {
            let least = self.events.iter().position(|event| !event.is_outcome()).unwrap_or(0);
            self.events.remove(least);
            self.lost += 1;
        }
        self.events.push_back(event);
    }

    /// Takes the next event. The first one after a loss is a warning.
    fn pop(&mut self) -> Option<Event> {
        let next = match std::mem::take(&mut self.lost) {
            0 => self.events.pop_front(),
            lost => Some(Event::lost(lost)),
        };
        self.is_busy = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::{
        event::{DownloadStatus, StopReason},
        route::Route,
    };

    fn progress(number: u64, bytes: u64) -> Event {
        let peer = format!("receiver {number}");
        Event::DownloadProgress(DownloadStatus { number, peer, route: Route::Relay, bytes, total: None })
    }

    fn warning(message: impl Into<String>) -> Event {
        Event::Warning { kind: "test", message: message.into(), hint: None }
    }

    fn drain(receiver: &mut EventReceiver) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv()).map(|event| serde_json::to_string(&event).unwrap()).collect()
    }

    #[test]
    fn the_latest_progress_of_each_download_is_kept() {
        let (events, mut receiver) = Events::channel();
        for bytes in 0..10_000 {
            events.report(progress(1, bytes));
            events.report(progress(2, bytes));
            events.report(Event::Progress { bytes, total: None, rate: 0, file: None });
        }
        let shown = drain(&mut receiver);
        assert_eq!(shown.len(), 3);
        assert!(shown.iter().all(|event| event.contains("9999")), "{shown:?}");
    }

    #[test]
    fn a_full_queue_loses_messages_but_no_outcome_and_says_so() {
        let (events, mut receiver) = Events::channel();
        events.report(Event::Error { kind: crate::error::Kind::Disk, message: "first".into(), hint: None });
        for n in 0..2 * CAPACITY {
            events.report(warning(n.to_string()));
        }
        events.report(Event::Stopped { reason: StopReason::Once });
        let shown = drain(&mut receiver);
        assert_eq!(shown.len(), CAPACITY + 1);
        assert!(shown[0].contains("4,098 messages"), "{}", shown[0]);
        assert!(shown[1].contains("first") && shown.last().unwrap().contains("stopped"));
    }

    #[tokio::test]
    async fn long_results_wait_for_the_display() {
        let (events, mut receiver) = Events::channel();
        for n in 0..RESULT_CAPACITY {
            events.report_result(warning(n.to_string())).await;
        }
        let blocked = timeout(Duration::from_millis(1), events.report_result(warning("one too many"))).await;
        assert!(blocked.is_err());
        receiver.recv().await.unwrap();
        events.report_result(warning("room")).await;
    }

    #[tokio::test]
    async fn a_flush_waits_until_the_last_event_is_shown() {
        let (events, mut receiver) = Events::channel();
        events.report(warning("a question follows"));
        assert!(timeout(Duration::from_millis(1), events.flush()).await.is_err());
        receiver.recv().await.unwrap();
        assert!(timeout(Duration::from_millis(1), events.flush()).await.is_err(), "not shown yet");
        assert!(receiver.try_recv().is_none());
        events.flush().await;
    }

    #[tokio::test]
    async fn nothing_waits_for_an_unattended_queue() {
        let (events, mut receiver) = Events::unattended(|event| matches!(event, Event::Warning { .. }));
        for n in 0..2 * RESULT_CAPACITY {
            events.report_result(warning(n.to_string())).await;
            events.report_result(Event::Entries { entries: Vec::new() }).await;
        }
        events.flush().await;
        assert_eq!(drain(&mut receiver).len(), 2 * RESULT_CAPACITY);
    }

    #[test]
    fn progress_stays_behind_what_happened_before_it() {
        let (events, mut receiver) = Events::channel();
        events.report(progress(1, 1));
        events.report(warning("in between"));
        events.report(progress(1, 2));
        let shown = drain(&mut receiver);
        assert!(shown.len() == 2 && shown[0].contains("in between"), "{shown:?}");
    }

    #[tokio::test]
    async fn the_queue_ends_with_its_last_producer_or_its_receiver() {
        let (events, mut receiver) = Events::channel();
        let clone = events.clone();
        clone.report(warning("one"));
        drop((events, clone));
        assert!(receiver.recv().await.is_some());
        assert!(receiver.recv().await.is_none());

        let (events, receiver) = Events::channel();
        events.report(warning("never shown"));
        drop(receiver);
        events.flush().await;
        events.report_result(warning("ignored")).await;
    }
}
