//! The connector to a sender: it opens a session, and another one when the sender does not know the first any more.

use std::{ops::ControlFlow, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{
    confirmed_session::ConfirmedSession,
    key_exchange::Credentials,
    nearby::{FoundRelay, NearbySenders, look_up},
    open_session::open_session,
    open_session_error::OpenSessionError,
    race::{Race, RelayAnswer},
    reconnect_config::ReconnectConfig,
    resumption_store::{ResumptionClaim, StoredResumption},
};
use crate::{
    background::with_background,
    code::{Code, Slot},
    error::{Error, Result},
    event::{Event, Events},
    manifest::Manifest,
    net::Dialer,
    rate_limiter::RateLimiter,
    transfer::{
        backoff::{RetriedWork, RetryDeadline, RetryDriver, Urgency},
        timeouts::LIMIT_PATIENCE,
        user_errors::{download_interrupted, not_found_anywhere, not_found_nearby, nothing_downloaded},
    },
};

/// How long a search nearby lasts if nothing else may find the sender. Five questions leave in this time.
const NEARBY_PATIENCE: Duration = Duration::from_secs(2);

/// The pause before the relay is asked again for a sender that has not started yet. The relay itself waits before it
/// answers.
const WAIT_INTERVAL: Duration = Duration::from_secs(2);

/// How long a wait for the sender lasts before it is reported to the user.
const WAIT_REPORT_DELAY: Duration = Duration::from_secs(1);

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
        tokio::select! {
            opened = attempts.run(lost, events) => opened.map_err(|e| attempts.explain(e)),
            () = interrupt => Err(self.interrupted()),
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

/// A search for the sender on this machine and on the local network.
struct FinishedSearch {
    /// The number of networks; `None` if only this machine was searched.
    networks: Option<usize>,
    began: Instant,
}

/// The attempts to open one session.
struct SessionAttempts<'a> {
    sender: &'a SenderConnector,
    /// The deadline for new attempts. `None` allows a single attempt, and further ones only while a limit of the relay
    /// refuses it.
    deadline: Option<RetryDeadline>,
    /// The wait that the relay has requested.
    limit_wait: Option<Duration>,
    /// Whether this process has had a session with the sender, so that a sender that is not found may be starting
    /// again.
    is_restart: bool,
    /// The search nearby of the last attempt.
    search: Option<FinishedSearch>,
}

impl<'a> SessionAttempts<'a> {
    fn new(sender: &'a SenderConnector) -> Self {
        let retry_for = sender.config.retry_for;
        let can_retry = sender.resumption.is_some() && !retry_for.is_zero();
        Self {
            sender,
            deadline: can_retry.then(|| RetryDeadline::after(retry_for)),
            limit_wait: None,
            is_restart: false,
            search: None,
        }
    }

    /// Makes attempts until one of them is final. The first attempt of a process dials the relay once and is not
    /// reported as a retry.
    async fn run(&mut self, lost: Option<Error>, events: &Events) -> <Self as RetriedWork>::Output {
        let mut driver = RetryDriver::new(events.clone(), Urgency::Busy);
        if let Some(reason) = lost {
            self.is_restart = true;
            return driver.run(reason, self).await;
        }
        let wait_until = self.sender.config.wait.map(|wait| Instant::now() + wait);
        let waiting = async {
            if let Some(wait) = self.sender.config.wait {
                sleep(WAIT_REPORT_DELAY).await;
                events.report(Event::Waiting { seconds: wait.as_secs() });
            }
        };
        match with_background(self.first_race(&driver, wait_until), waiting).await {
            ControlFlow::Break(opened) => opened,
            ControlFlow::Continue(reason) => {
                driver.delay_next(self.limit_wait.take().unwrap_or_default());
                driver.wait().await;
                driver.run(reason, self).await
            }
        }
    }

    /// Makes the first attempt. With `--wait`, repeats it until the sender has started.
    async fn first_race(
        &mut self,
        driver: &RetryDriver,
        wait_until: Option<Instant>,
    ) -> ControlFlow<<Self as RetriedWork>::Output, Error> {
        loop {
            let (sender, deadline) = (self.sender, self.deadline);
            let relay = sender.config.relay.as_ref().map(|relay| -> RelayAnswer<'_> {
                Box::pin(async move {
                    let dialed = match (wait_until, deadline) {
                        (Some(until), _) => return wait_at_relay(relay, sender.code.slot(), until).await,
                        (None, Some(deadline)) => driver.dial_until(relay, deadline).await,
                        (None, None) => relay.dial().await,
                    };
                    dialed.map(FoundRelay::far).map_err(OpenSessionError::Dial)
                })
            });
            let patience = wait_until.map_or(NEARBY_PATIENCE, |until| until.saturating_duration_since(Instant::now()));
            match (self.race(relay, patience).await, wait_until) {
                (ControlFlow::Break(Err(e)), Some(until))
                    if e.is_absence() && Instant::now() + WAIT_INTERVAL < until =>
                {
                    sleep(WAIT_INTERVAL).await;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// Returns whether another attempt may follow. The deadline limits new attempts; it never cancels one in progress.
    fn may_retry(&mut self, e: &OpenSessionError) -> bool {
        self.limit_wait = e.limit_wait();
        match self.limit_wait {
            Some(_) if self.sender.config.retry_for.is_zero() => false,
            Some(wait) => self.deadline.get_or_insert_with(|| RetryDeadline::after(LIMIT_PATIENCE)).allows(wait),
            None if !(e.is_transient() || self.is_restart && matches!(e, OpenSessionError::NothingFound)) => false,
            None => self.deadline.is_some_and(|deadline| !deadline.has_passed()),
        }
    }

    /// Opens a session at the first relay that leads to the sender. `relay` connects to the configured relay. Without
    /// it, or once it has failed, the search nearby lasts for `patience` from now.
    async fn race(
        &mut self,
        relay: Option<RelayAnswer<'_>>,
        patience: Duration,
    ) -> ControlFlow<<Self as RetriedWork>::Output, Error> {
        let SenderConnector { code, config, resumption, .. } = self.sender;
        let (code, resumption, can_reattach) = (code.clone(), resumption.clone(), !config.retry_for.is_zero());
        let slot = code.slot();
        let nearby = config.nearby.as_ref().map(|nearby| NearbySenders::start(nearby, slot));
        self.search =
            nearby.as_ref().map(|nearby| FinishedSearch { networks: nearby.networks(), began: Instant::now() });
        let race = Race::new(Credentials { code, resumption, can_reattach }, nearby, Instant::now() + patience);
        let opened = match race.run(relay).await {
            Ok(winner) => open_session(winner, slot, config).await,
            Err(e) => Err(e),
        };
        match opened {
            Err(e) if self.may_retry(&e) => ControlFlow::Continue(self.explain(e)),
            opened => ControlFlow::Break(opened),
        }
    }

    /// Explains why the last attempt has failed. If the sender was not found, says where it was searched.
    fn explain(&self, e: OpenSessionError) -> Error {
        let may_wait = self.sender.config.wait.is_none();
        match (&self.search, e) {
            (Some(search), OpenSessionError::NothingFound) => {
                not_found_nearby(search.networks, search.began.elapsed(), may_wait)
            }
            (Some(search), OpenSessionError::Relay(e)) if e.is_unknown_slot() => {
                not_found_anywhere(search.networks, search.began.elapsed(), may_wait)
            }
            (_, e) => e.into(),
        }
    }
}

impl RetriedWork for SessionAttempts<'_> {
    type Output = Result<(ConfirmedSession, Manifest), OpenSessionError>;

    fn urgency(&self) -> Urgency {
        Urgency::Busy
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error> {
        let (sender, deadline) = (self.sender, self.deadline);
        let connecting = &mut *driver;
        let relay = sender.config.relay.as_ref().map(|relay| -> RelayAnswer<'_> {
            Box::pin(async move {
                let connected = match deadline {
                    Some(deadline) => connecting.connect_until(relay, deadline, || Urgency::Busy).await,
                    None => Ok(connecting.connect(relay, || Urgency::Busy).await),
                };
                connected.map(FoundRelay::far).map_err(OpenSessionError::Dial)
            })
        });
        let outcome = self.race(relay, NEARBY_PATIENCE).await;
        driver.delay_next(self.limit_wait.take().unwrap_or_default());
        if matches!(outcome, ControlFlow::Break(Ok(_))) {
            driver.note_success();
        }
        outcome
    }
}

/// Waits at the relay for a sender that has not started yet.
async fn wait_at_relay(relay: &Dialer, slot: Slot, deadline: Instant) -> Result<FoundRelay, OpenSessionError> {
    loop {
        let failed = match relay.dial().await {
            Ok(connected) => {
                match look_up(&connected.connection, slot, deadline.saturating_duration_since(Instant::now())).await {
                    Ok(()) => return Ok(FoundRelay::far(connected)),
                    Err(e) => {
                        connected.close().await;
                        OpenSessionError::Relay(e)
                    }
                }
            }
            Err(e) => OpenSessionError::Dial(e),
        };
        let (limit_wait, now) = (failed.limit_wait(), Instant::now());
        let pause = limit_wait.unwrap_or(WAIT_INTERVAL);
        if !(failed.is_absence() || limit_wait.is_some()) || now + pause >= deadline {
            return Err(failed);
        }
        sleep(pause).await;
    }
}
