//! Work in the background.

use std::panic::resume_unwind;

use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle},
};

use crate::error::{Error, Kind, Result};

/// Work in the background that ends with a `T`. Dropping it interrupts the work, which then ends soon.
#[derive(Debug)]
pub(super) struct BackgroundTask<T> {
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

impl<T: Send + 'static> BackgroundTask<T> {
    pub(super) fn start<W: Future<Output = Result<T>> + Send + 'static>(work: impl FnOnce(Interrupt) -> W) -> Self {
        let (interrupt, interrupted) = oneshot::channel();
        let work = Some(tokio::spawn(work(Interrupt(interrupted))));
        Self { interrupt, work }
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
        let joined = work.await;
        self.work = None;
        outcome(joined)
    }

    /// Interrupts the work, and waits until it ends. The interruption itself is no error.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { interrupt, work } = self;
        drop(interrupt);
        let Some(work) = work else { return Ok(()) };
        match outcome(work.await) {
            Err(e) if e.kind() != Kind::Interrupted => Err(e),
            _ => Ok(()),
        }
    }
}

/// Returns the outcome of a task that has ended. A panic continues in the caller.
fn outcome<T>(joined: Result<Result<T>, JoinError>) -> Result<T> {
    match joined {
        Ok(outcome) => outcome,
        Err(e) if e.is_panic() => resume_unwind(e.into_panic()),
        Err(_) => Err(Error::new(Kind::Interrupted, "the runtime was shut down")),
    }
}
