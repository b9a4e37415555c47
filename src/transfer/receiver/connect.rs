//! The connector to a sender: it opens a session, and another one when the sender does not know the first any more.

use std::{ops::ControlFlow, time::Duration};

use tracing::debug;

use super::{
    confirmed_session::ConfirmedSession,
    open_session::{OpenSessionError, open_session},
    reconnect_config::ReconnectConfig,
    resumption_store::{ResumptionClaim, StoredResumption},
};
use crate::{
    code::Code,
    error::{Error, Result},
    event::Events,
    manifest::Manifest,
    net::RelayConnection,
    rate_limiter::RateLimiter,
    transfer::{
        backoff::{RetriedWork, RetryDeadline, RetryDriver, Urgency},
        timeouts::LIMIT_PATIENCE,
        user_errors::{download_interrupted, nothing_downloaded},
    },
};

/// Opens sessions with the sender behind a code.
pub(super) struct SenderConnector {
    code: Code,
    config: ReconnectConfig,
    /// The credentials that the sender has granted, to this process or an earlier one.
    resumption: Option<StoredResumption>,
    /// These credentials in the resumption store, for a later process.
    claim: Option<ResumptionClaim>,
}

impl SenderConnector {
    /// Creates a connector, and claims the resumption that an earlier process has stored for the code.
    pub(super) fn new(code: Code, config: ReconnectConfig) -> Self {
        let claim = config.resumptions.as_ref().and_then(|store| store.claim(code.slot()));
        let resumption = claim.as_ref().map(|claim| claim.resumption.clone());
        Self { code, config, resumption, claim }
    }

    /// Returns a limiter of the receive rate, if the rate is limited.
    pub(super) fn rate_limiter(&self) -> Option<RateLimiter> {
        self.config.rate_limit.map(RateLimiter::new)
    }

    /// Opens a session and reads the sender's offer.
    ///
    /// `lost` is why the previous session of this process ended, if there was one. A receiver with a resumption waits
    /// for the network, the relay and the sender. Any other receiver makes one attempt, unless a limit of the relay
    /// refuses it for a short time.
    pub(super) async fn open_session(
        &self,
        lost: Option<Error>,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<(ConfirmedSession, Manifest)> {
        let mut attempts = SessionAttempts::new(self);
        let opened = tokio::select! {
            opened = attempts.run(lost, events) => opened.map_err(Error::from),
            () = interrupt => Err(self.interrupted()),
        };
        match (opened, attempts.connected) {
            (Ok((mut session, manifest)), Some(connected)) => {
                session.reconnector.adopt_connection(connected);
                Ok((session, manifest))
            }
            // The sender waits for this receiver until it learns that the connection is closed.
            (Err(e), Some(connected)) => {
                connected.close().await;
                Err(e)
            }
            (opened, None) => opened,
        }
    }

    /// Stores the credentials that the sender has granted, unless they are stored already. If that fails, a later
    /// process has to confirm the code again.
    pub(super) fn store_resumption(&mut self, granted: Option<StoredResumption>) {
        let Some(granted) = granted else { return };
        let is_stored = self.claim.as_ref().is_some_and(|claim| claim.resumption.has_same_id(&granted));
        if let Some(store) = self.config.resumptions.as_ref().filter(|_| !is_stored) {
            match store.store(self.code.slot(), granted.clone()) {
                Ok(claim) => self.claim = Some(claim),
                Err(e) => debug!("cannot store the resumption: {e}"),
            }
        }
        self.resumption = Some(granted);
    }

    /// Removes the stored resumption, because the download is complete.
    pub(super) fn remove_resumption(self) {
        if let Some(claim) = self.claim {
            claim.remove();
        }
    }

    /// Returns the error for an interruption before any data of this session was received.
    pub(super) fn interrupted(&self) -> Error {
        match self.resumption {
            Some(_) => download_interrupted(),
            None => nothing_downloaded(),
        }
    }
}

/// The attempts to open one session.
struct SessionAttempts<'a> {
    sender: &'a SenderConnector,
    /// The deadline for new attempts. `None` allows a single attempt, and further ones only while a limit of the relay
    /// refuses it.
    deadline: Option<RetryDeadline>,
    /// The wait that the relay has requested.
    limit_wait: Option<Duration>,
    /// The connection of the current attempt.
    connected: Option<RelayConnection>,
}

impl<'a> SessionAttempts<'a> {
    fn new(sender: &'a SenderConnector) -> Self {
        let retry_for = sender.config.retry_for;
        let can_retry = sender.resumption.is_some() && !retry_for.is_zero();
        Self { sender, deadline: can_retry.then(|| RetryDeadline::after(retry_for)), connected: None, limit_wait: None }
    }

    /// Makes attempts until one of them is final. The first attempt of a process dials once and is not reported
    /// as a retry.
    async fn run(&mut self, lost: Option<Error>, events: &Events) -> <Self as RetriedWork>::Output {
        let mut driver = RetryDriver::new(self.sender.config.dialer.clone(), events.clone(), Urgency::Busy);
        if let Some(reason) = lost {
            return driver.run(reason, self).await;
        }
        let dialed = match self.deadline {
            Some(deadline) => driver.dial_until(deadline).await,
            None => self.sender.config.dialer.dial().await,
        };
        match self.attempt_on(dialed).await {
            ControlFlow::Break(opened) => opened,
            ControlFlow::Continue(reason) => {
                driver.delay_next(self.limit_wait.take().unwrap_or_default());
                driver.wait().await;
                driver.run(reason, self).await
            }
        }
    }

    /// Returns whether another attempt may follow. The deadline limits new attempts; it never cancels one in progress.
    fn may_retry(&mut self, e: &OpenSessionError) -> bool {
        self.limit_wait = e.limit_wait();
        match self.limit_wait {
            Some(_) if self.sender.config.retry_for.is_zero() => false,
            Some(wait) => self.deadline.get_or_insert_with(|| RetryDeadline::after(LIMIT_PATIENCE)).allows(wait),
            None => e.is_transient() && self.deadline.is_some_and(|deadline| !deadline.has_passed()),
        }
    }

    /// Opens a session on a new connection. Closes the connection if another attempt follows.
    async fn attempt_on(
        &mut self,
        connected: Result<RelayConnection>,
    ) -> ControlFlow<<Self as RetriedWork>::Output, Error> {
        let SenderConnector { code, config, resumption, .. } = self.sender;
        let opened = match connected {
            Ok(connected) => {
                let connection = &self.connected.insert(connected).connection;
                open_session(connection, code, config, resumption.as_ref()).await
            }
            Err(e) => Err(OpenSessionError::Dial(e)),
        };
        match opened {
            Err(e) if self.may_retry(&e) => {
                if let Some(connected) = self.connected.take() {
                    connected.close().await;
                }
                ControlFlow::Continue(e.into())
            }
            opened => ControlFlow::Break(opened),
        }
    }
}

impl RetriedWork for SessionAttempts<'_> {
    type Output = Result<(ConfirmedSession, Manifest), OpenSessionError>;

    fn urgency(&self) -> Urgency {
        Urgency::Busy
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error> {
        let connected = match self.deadline {
            Some(deadline) => driver.connect_until(deadline, || Urgency::Busy).await,
            None => Ok(driver.connect(|| Urgency::Busy).await),
        };
        let outcome = self.attempt_on(connected).await;
        driver.delay_next(self.limit_wait.take().unwrap_or_default());
        if matches!(outcome, ControlFlow::Break(Ok(_))) {
            driver.note_success();
        }
        outcome
    }
}
