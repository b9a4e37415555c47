//! The task that keeps a session alive: whenever the stream fails, it reattaches the session.

use std::time::Duration;

use super::{
    leftovers::Leftovers,
    reattach::{ReattachContext, ReattachFailure, Reattacher},
    reconnect_config::ReconnectConfig,
};
use crate::{
    event::Events,
    net::{RelayConnection, StreamError},
    route::Route,
    transfer::{
        backoff::{LastConnection, Outage, RetryDeadline, RetryDriver, Urgency},
        timeouts::LEG_SILENCE_TIMEOUT,
        user_errors::explain_stream_error,
    },
};

/// Keeps one session alive.
pub(super) struct ReconnectTask {
    reattacher: Reattacher,
    retry: RetryDriver,
    retry_for: Duration,
    /// When the retries of this outage time out.
    deadline: RetryDeadline,
    /// The bytes that had arrived at the beginning of the last outage.
    received: u64,
    leftovers: Leftovers,
}

impl ReconnectTask {
    /// Creates the task of a session, which reports outages to `events`.
    pub(super) fn new(
        context: ReattachContext,
        config: &ReconnectConfig,
        leftovers: Leftovers,
        events: Events,
    ) -> Self {
        let dialer = config.dialer(context.slot, &context.route);
        Self {
            retry: RetryDriver::new(events, Urgency::Busy),
            reattacher: Reattacher::new(context, dialer),
            retry_for: config.retry_for,
            deadline: RetryDeadline::after(config.retry_for),
            received: 0,
            leftovers,
        }
    }

    /// Reattaches the session in one outage after another, and moves it to a relay nearby if the race for it finds one
    /// later. Returns why it cannot be reattached any more.
    pub(super) async fn run(&mut self) -> ReattachFailure {
        let mut may_improve = !self.retry_for.is_zero();
        loop {
            let cause = tokio::select! {
                biased;
                cause = wait_for_outage(&self.reattacher.context) => cause,
                better = self.leftovers.next_better(), if may_improve => {
                    match better {
                        Some(better) => self.move_to(better).await,
                        None => may_improve = false,
                    }
                    continue;
                }
            };
            if let Err(failure) = self.end_outage(&cause).await {
                return failure;
            }
        }
    }

    /// Moves the session from a relay far away to one nearby. If that fails, the session stays where it is.
    async fn move_to(&mut self, better: RelayConnection) {
        let former = *self.reattacher.context.route.lock();
        if former == Route::Relay && self.reattacher.move_to(better).await {
            self.retry.report_route(former, *self.reattacher.context.route.lock());
        }
    }

    /// Waits until the stream is broken, and closes it with the same reason, so that no other stream is awaited.
    pub(super) async fn close_stream(&self) {
        let stream = &self.reattacher.context.stream;
        stream.close(stream.wait_until_broken().await);
    }

    /// Closes the connection that this task opened last, and ends what remains of the race.
    pub(super) async fn close(self) {
        if let Some(connected) = self.reattacher.connected {
            connected.close().await;
        }
        self.leftovers.settle().await;
    }

    /// Retries until the session is reattached.
    async fn end_outage(&mut self, cause: &StreamError) -> Result<(), ReattachFailure> {
        let reason = explain_stream_error(cause);
        if self.retry_for.is_zero() {
            return Err(ReattachFailure::Failed(reason));
        }
        let received = self.reattacher.context.stream.received_bytes();
        let last_connection = match received > std::mem::replace(&mut self.received, received) {
            true => LastConnection::MadeProgress,
            false => LastConnection::MadeNoProgress,
        };
        // A relay that accepts every connection and cuts it at once must not be retried for ever, so only an outage
        // after progress gets a deadline of its own.
        if self.retry.begin_outage(last_connection).await == Outage::New {
            self.deadline = RetryDeadline::after(self.retry_for);
        }
        self.reattacher.begin_outage(cause);
        match self.retry.run_until(self.deadline, reason, &mut self.reattacher).await {
            Ok(outcome) => outcome,
            Err(timeout) => Err(ReattachFailure::Failed(timeout)),
        }
    }
}

/// Waits until the stream fails or the connection under it is silent.
async fn wait_for_outage(context: &ReattachContext) -> StreamError {
    let ReattachContext { stream, connection, .. } = context;
    tokio::select! {
        cause = stream.wait_until_broken() => cause,
        lost = connection.wait_until_silent(LEG_SILENCE_TIMEOUT) => {
            stream.mark_broken(lost.into());
            stream.wait_until_broken().await
        }
    }
}
