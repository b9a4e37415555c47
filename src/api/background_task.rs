//! Work in the background that reports events.

use std::{
    panic::resume_unwind,
    task::{Context, Poll},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    error::{Error, Kind, Result},
    event::{Event, EventReceiver},
};

/// The most events that wait for the user of the library, besides those in the queue behind them.
const WAITING_EVENTS: usize = 16;

/// Work in the background that ends with a `T` and reports `E`s. Dropping it interrupts the work, which then ends soon.
#[derive(Debug)]
pub(super) struct BackgroundTask<E, T> {
    events: mpsc::Receiver<E>,
    /// Dropping it interrupts the work.
    interrupt: oneshot::Sender<()>,
    work: JoinHandle<Result<T>>,
}

/// Completes when the handle of a task is dropped.
pub(super) struct Interrupt(oneshot::Receiver<()>);

impl Interrupt {
    pub(super) async fn wait(self) {
        let _ = self.0.await; // nothing is ever sent
    }
}

impl<E: Send + 'static, T: Send + 'static> BackgroundTask<E, T> {
    /// Starts `work`, and passes on the events that `convert` selects.
    pub(super) fn start<W: Future<Output = Result<T>> + Send + 'static>(
        reported: EventReceiver,
        convert: impl FnMut(Event) -> Option<E> + Send + 'static,
        work: impl FnOnce(Interrupt) -> W,
    ) -> Self {
        let (interrupt, interrupted) = oneshot::channel();
        let (pass, events) = mpsc::channel(WAITING_EVENTS);
        tokio::spawn(pass_events(reported, convert, pass));
        let work = tokio::spawn(work(Interrupt(interrupted)));
        Self { events, interrupt, work }
    }

    /// Waits for the next event; `None` when the work has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub(super) async fn next_event(&mut self) -> Option<E> {
        self.events.recv().await
    }

    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<E>> {
        self.events.poll_recv(context)
    }

    /// Waits until the work ends.
    pub(super) async fn finish(self) -> Result<T> {
        let Self { interrupt: _interrupt, work, events: _ } = self;
        outcome(work).await
    }

    /// Interrupts the work, and waits until it ends.
    pub(super) async fn stop(self) -> Result<T> {
        let Self { interrupt, work, events: _ } = self;
        drop(interrupt);
        outcome(work).await
    }
}

/// Passes events on until the work ends, or until nobody waits for them.
async fn pass_events<E>(
    mut reported: EventReceiver,
    mut convert: impl FnMut(Event) -> Option<E>,
    pass: mpsc::Sender<E>,
) {
    loop {
        let event = tokio::select! {
            event = reported.recv() => event,
            () = pass.closed() => return,
        };
        let Some(event) = event else { return };
        if let Some(event) = convert(event)
            && pass.send(event).await.is_err()
        {
            return;
        }
    }
}

/// Waits for the outcome of a task. A panic continues in the caller.
async fn outcome<T>(work: JoinHandle<Result<T>>) -> Result<T> {
    match work.await {
        Ok(outcome) => outcome,
        Err(e) if e.is_panic() => resume_unwind(e.into_panic()),
        Err(_) => Err(Error::new(Kind::Interrupted, "the runtime was shut down")),
    }
}
