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

/// Work in the background that ends with a `T` and reports `E`s. Dropping it interrupts the work, which then ends soon.
#[derive(Debug)]
pub(super) struct BackgroundTask<E, T> {
    events: mpsc::Receiver<E>,
    /// Dropping it interrupts the work.
    interrupt: oneshot::Sender<()>,
    /// `None` after its outcome was returned.
    work: Option<JoinHandle<Result<T>>>,
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
        let (pass, events) = mpsc::channel(1); // the others wait in the queue, where newer progress replaces older
        tokio::spawn(pass_events(reported, convert, pass));
        let work = Some(tokio::spawn(work(Interrupt(interrupted))));
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
    ///
    /// # Panics
    /// If the work has panicked, or its outcome was returned before.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the work continues.
    pub(super) async fn finish(&mut self) -> Result<T> {
        let Some(work) = &mut self.work else { panic!("the outcome was returned before") };
        let outcome = work.await;
        self.work = None;
        match outcome {
            Ok(outcome) => outcome,
            Err(e) if e.is_panic() => resume_unwind(e.into_panic()),
            Err(_) => Err(Error::new(Kind::Interrupted, "the runtime was shut down")),
        }
    }

    /// Interrupts the work, and waits until it ends. The interruption itself is no error.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { interrupt, work, events } = self;
        drop((interrupt, events));
        match work {
            Some(work) => match work.await {
                Err(e) if e.is_panic() => resume_unwind(e.into_panic()),
                Ok(Err(e)) if e.kind() != Kind::Interrupted => Err(e),
                _ => Ok(()),
            },
            None => Ok(()),
        }
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
