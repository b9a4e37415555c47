//! The events of a handle, as a stream.

use std::task::{Context, Poll};

use tokio::{select, sync::mpsc};

use crate::event::{Event, EventReceiver};

/// The events of a handle. They may be left unread.
#[derive(Debug)]
pub(super) struct EventStream<E>(mpsc::Receiver<E>);

impl<E: Send + 'static> EventStream<E> {
    /// Converts what arrives in a queue, which must be unattended.
    pub(super) fn new(reported: EventReceiver, convert: fn(&Event) -> Option<E>) -> Self {
        let (pass, events) = mpsc::channel(1); // the others wait in the queue, where newer progress replaces older
        tokio::spawn(pass_on(reported, convert, pass));
        Self(events)
    }

    /// Waits for the next event; `None` when the work has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub(super) async fn next(&mut self) -> Option<E> {
        self.0.recv().await
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<E>> {
        self.0.poll_recv(context)
    }
}

/// Passes events on until the work ends, or until nobody waits for them.
async fn pass_on<E>(mut reported: EventReceiver, convert: fn(&Event) -> Option<E>, pass: mpsc::Sender<E>) {
    loop {
        let event = select! {
            event = reported.recv() => event,
            () = pass.closed() => return,
        };
        let Some(event) = event else { return };
        if let Some(event) = convert(&event)
            && pass.send(event).await.is_err()
        {
            return;
        }
    }
}
