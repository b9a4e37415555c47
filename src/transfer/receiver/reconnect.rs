//! Spawns, observes and stops the task that keeps a session alive.

use std::sync::{Arc, OnceLock};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    leftovers::Leftovers,
    reattach::{ReattachContext, ReattachFailure},
    reconnect_config::ReconnectConfig,
    reconnect_task::ReconnectTask,
};
use crate::{
    event::{EventReceiver, Events},
    net::RelayConnection,
};

/// The handle of the task that keeps a session alive.
pub(super) struct Reconnector {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    failure: Arc<OnceLock<ReattachFailure>>,
    events: EventReceiver,
}

impl Reconnector {
    /// Spawns the reconnect task of a session, which was opened on the connection `first`.
    pub(super) fn spawn(
        context: ReattachContext,
        config: &ReconnectConfig,
        first: RelayConnection,
        leftovers: Leftovers,
    ) -> Self {
        context.stream.enable_reattach();
        let (to_caller, events) = Events::channel();
        let failure = Arc::new(OnceLock::new());
        let (stop, stopped) = oneshot::channel();
        let mut reconnect = ReconnectTask::new(context, config, leftovers, to_caller);
        let failure_slot = Arc::clone(&failure);
        let task = tokio::spawn(async move {
            tokio::select! {
                failure = reconnect.run() => {
                    let _ = failure_slot.set(failure); // set here only
                    reconnect.close_stream().await;
                }
                _ = stopped => {}
            }
            reconnect.close().await;
            first.close().await;
        });
        Self { task, stop, failure, events }
    }

    /// Forwards the events of the task to `events` until the task ends.
    pub(super) async fn report_events(&mut self, events: &Events) {
        while let Some(event) = self.events.recv().await {
            events.report(event);
        }
    }

    /// Returns why the session cannot be reattached any more; `None` as long as it can.
    pub(super) fn failure(&self) -> Option<&ReattachFailure> {
        self.failure.get()
    }

    /// Stops the task and closes the connections.
    pub(super) async fn close(self) {
        let _ = self.stop.send(()); // fails if the task has ended already
        let _ = self.task.await; // if it has panicked, its connections are dropped
    }
}
