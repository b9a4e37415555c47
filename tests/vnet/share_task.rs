//! A sender that runs in a task of the test.

use qshare::internals::{
    code::Code,
    error::Result,
    event::{Event, StopReason},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{event_log::EventLog, host::Host};

/// A share that is registered at the relay.
pub(crate) struct ShareTask {
    /// The sender's host.
    pub(crate) host: Host,
    /// The code of the share.
    pub(crate) code: Code,
    pub(super) log: EventLog,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) task: JoinHandle<Result<StopReason>>,
}

impl ShareTask {
    /// Returns the events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.log.events()
    }

    /// Stops the share as Ctrl-C does, unless it has ended already.
    ///
    /// # Errors
    /// The error with which the share ended.
    pub(crate) async fn stop(self) -> Result<StopReason> {
        let _ = self.stop.send(()); // fails if the share has ended already
        self.task.await.unwrap()
    }

    /// Waits until the share ends without being stopped.
    ///
    /// # Errors
    /// The error with which the share ended.
    pub(crate) async fn wait(self) -> Result<StopReason> {
        self.task.await.unwrap()
    }
}
