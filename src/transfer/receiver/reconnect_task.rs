//! The task that keeps a session alive: whenever the stream fails, it reattaches the session.

use std::time::Duration;

use super::{
    reattach::{ReattachContext, ReattachFailure, Reattacher},
    reconnect_config::ReconnectConfig,
};
use crate::{
    event::Events,
    net::{RelayConnection, StreamError},
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
}

impl ReconnectTask {
    /// Creates the task of a session, which reports outages to `events`.
    pub(super) fn new(context: ReattachContext, config: &ReconnectConfig, events: Events) -> Self {
        Self {
            reattacher: Reattacher::new(context),
            retry: RetryDriver::new(config.dialer.clone(), events, Urgency::Busy),
            retry_for: config.retry_for,
            deadline: RetryDeadline::after(config.retry_for),
            received: 0,
        }
    }

    /// Reattaches the session in one outage after another. Returns why it cannot be reattached any more.
    pub(super) async fn run(&mut self) -> ReattachFailure {
        loop {
            let cause = self.wait_for_outage().await;
            if let Err(failure) = self.end_outage(&cause).await {
                return failure;
            }
        }
    }

    /// Waits until the stream is broken, and closes it with the same reason, so that no other stream is awaited.
    pub(super) async fn close_stream(&self) {
        let stream = &self.reattacher.context.stream;
        stream.close(stream.wait_until_broken().await);
    }

    /// Returns the connection that this task opened last, if it opened any.
    pub(super) fn into_connection(self) -> Option<RelayConnection> {
        self.reattacher.connected
    }

    /// Waits until the stream fails or the connection under it is silent.
    async fn wait_for_outage(&self) -> StreamError {
        let ReattachContext { stream, connection, .. } = &self.reattacher.context;
        tokio::select! {
            cause = stream.wait_until_broken() => cause,
            lost = connection.wait_until_silent(LEG_SILENCE_TIMEOUT) => {
                stream.mark_broken(lost.into());
                stream.wait_until_broken().await
            }
        }
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
