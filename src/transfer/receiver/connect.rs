//! A sender as its receiver knows it: sessions with it, one after another.

use std::ops::ControlFlow;

use tracing::debug;

use crate::transfer::Events;
use crate::transfer::backoff::{RetriedWork, RetryDeadline, RetryDriver, Urgency};
use crate::transfer::receiver::confirmed_session::ConfirmedSession;
use crate::transfer::receiver::reconnect::ReconnectConfig;
use crate::transfer::receiver::resumption_store::{ResumptionClaim, StoredResumption};
use crate::{
    code::Code,
    error::{Error, Kind, Result},
    manifest::Manifest,
    net::RelayConnection,
};

/// A sender, and how to get to it.
pub(crate) struct SenderConnector {
    code: Code,
    back: ReconnectConfig,
    /// What this process comes back with.
    known: Option<StoredResumption>,
    /// The same on the disk, for another process that is started after this one.
    claim: Option<ResumptionClaim>,
}

impl SenderConnector {
    /// The one behind this code. What an earlier process has kept of it is this process's for as long as this lives.
    pub(crate) fn new(code: Code, back: ReconnectConfig) -> Self {
        let claim = back.resumptions.as_ref().and_then(|kept| kept.claim(&code));
        let known = claim.as_ref().map(|claim| claim.known.clone());
        Self { code, back, known, claim }
    }

    /// Begins a session: where there was one before, because of `reason`. Who is known waits for a line, for the relay and
    /// for the sender.
    pub(crate) async fn begin(
        &self,
        reason: Option<Error>,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<(ConfirmedSession, Manifest)> {
        let mut opening = SessionOpening::new(self);
        let begun = tokio::select! {
            begun = opening.run(reason, events) => begun,
            () = interrupt => Err(self.interrupted()),
        };
        match (begun, opening.connected) {
            (Ok((mut line, manifest)), Some(connected)) => {
                line.keeper.hold(connected);
                Ok((line, manifest))
            }
            // However it ends, the sender must hear of it: until then it waits for this receiver.
            (Err(e), Some(connected)) => {
                connected.close().await;
                Err(e)
            }
            (begun, None) => begun,
        }
    }

    /// Keeps what the sender has welcomed this receiver with, unless that is known. Where it cannot be kept, another
    /// process has to prove the code once more.
    pub(crate) fn keep(&mut self, known: Option<StoredResumption>) {
        let Some(known) = known else { return };
        let is_kept = self.claim.as_ref().is_some_and(|claim| claim.known.resumption.id == known.resumption.id);
        if let Some(resumptions) = self.back.resumptions.as_ref().filter(|_| !is_kept) {
            match resumptions.keep(&self.code, known.clone()) {
                Ok(claim) => self.claim = Some(claim),
                Err(e) => debug!("what to come back with is not kept: {e}"),
            }
        }
        self.known = Some(known);
    }

    /// The user has stopped before anything came of it.
    pub(crate) fn interrupted(&self) -> Error {
        match self.known {
            Some(_) => interrupted(),
            None => Error::new(Kind::Interrupted, "stopped; nothing was downloaded"),
        }
    }

    /// The download is whole: nobody comes back to it.
    pub(crate) fn forget(self) {
        if let Some(claim) = self.claim {
            claim.forget();
        }
    }
}

/// The attempts to open a session.
struct SessionOpening<'a> {
    sender: &'a SenderConnector,
    /// When no other attempt begins; `None` if there is one attempt only.
    deadline: Option<RetryDeadline>,
    /// The connection of the current attempt.
    connected: Option<RelayConnection>,
}

impl<'a> SessionOpening<'a> {
    /// Only a receiver that the sender has confirmed before makes more than one attempt.
    fn new(sender: &'a SenderConnector) -> Self {
        let retry_for = sender.back.retry_for;
        let retries = sender.known.is_some() && !retry_for.is_zero();
        Self { sender, deadline: retries.then(|| RetryDeadline::after(retry_for)), connected: None }
    }

    /// Opens a session, because of `reason` if there was one before. The first attempt of a new download is not announced
    /// as a retry, and dials once.
    async fn run(&mut self, reason: Option<Error>, events: &Events) -> Result<(ConfirmedSession, Manifest)> {
        let mut driver = RetryDriver::new(self.sender.back.dialer.clone(), events.clone(), Urgency::Busy);
        let reason = match reason {
            Some(reason) => reason,
            None => {
                let dialed = match self.deadline {
                    Some(deadline) => driver.dial_until(deadline).await,
                    None => self.sender.back.dialer.dial().await,
                };
                match self.attempt_on(dialed).await {
                    ControlFlow::Break(begun) => return begun,
                    ControlFlow::Continue(reason) => {
                        driver.wait().await;
                        reason
                    }
                }
            }
        };
        driver.run(reason, self).await
    }

    /// Begins a session over a new connection, and closes the connection if another attempt follows.
    async fn attempt_on(
        &mut self,
        connected: Result<RelayConnection>,
    ) -> ControlFlow<<Self as RetriedWork>::Output, Error> {
        let SenderConnector { code, back, known, .. } = self.sender;
        let begun = match connected {
            Ok(connected) => {
                let connection = &self.connected.insert(connected).connection;
                ConfirmedSession::begin(connection, code, back, known.as_ref()).await
            }
            Err(e) => Err(e),
        };
        match begun {
            // The deadline limits new attempts; it never cancels one in progress.
            Err(e) if e.is_transient() && self.deadline.is_some_and(|deadline| !deadline.has_passed()) => {
                if let Some(connected) = self.connected.take() {
                    connected.close().await;
                }
                ControlFlow::Continue(e)
            }
            begun => ControlFlow::Break(begun),
        }
    }
}

impl RetriedWork for SessionOpening<'_> {
    type Output = Result<(ConfirmedSession, Manifest)>;

    fn urgency(&self) -> Urgency {
        Urgency::Busy
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error> {
        let connected = match self.deadline {
            Some(deadline) => driver.connect_until(deadline, || Urgency::Busy).await,
            None => Ok(driver.connect(|| Urgency::Busy).await),
        };
        let outcome = self.attempt_on(connected).await;
        if matches!(outcome, ControlFlow::Break(Ok(_))) {
            driver.note_success();
        }
        outcome
    }
}

/// The user has stopped a download.
pub(crate) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "stopped; the same command goes on with what is here")
}
