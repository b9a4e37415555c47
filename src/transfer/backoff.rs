//! The retry driver: it repeats attempts to restore a session or a registration until one of them is final.
//!
//! Three loops use it. A receiver opens a session, a receiver reattaches a session, and a sender registers its share
//! again. Each of them announces an attempt, connects to the relay, makes the attempt, and waits before the next one.

use std::{ops::ControlFlow, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    error::{Error, Kind, Result},
    event::{Event, Events},
    net::{Dialer, RelayConnection},
    route::Route,
};

/// The longest wait between two attempts while a download waits for them. Jitter adds at most as much again.
const MAX_WAIT_BUSY: Duration = Duration::from_secs(1);

/// The longest wait while no download waits. A receiver may arrive at any time, and the relay does not know the code
/// until the share is registered again.
const MAX_WAIT_IDLE: Duration = Duration::from_secs(8);

/// The longest wait that a limit of the relay causes.
const MAX_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// A connection that lasted this long counts as progress, whatever was transferred over it.
const LONG_LIVED: Duration = Duration::from_secs(10);

/// Whether a download waits for the retries. It decides how long the waits between them may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A download waits.
    Busy,
    /// No download is known to wait.
    Idle,
}

/// Whether the last connection transferred anything before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastConnection {
    /// It transferred data.
    MadeProgress,
    /// It transferred nothing, or that is unknown.
    MadeNoProgress,
}

/// How an outage relates to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// The last connection made progress or was long-lived, so the backoff starts anew.
    New,
    /// The last connection was short and made no progress, so the backoff continues.
    Continued,
}

/// When retries end without success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryDeadline {
    at: Instant,
    /// The time from the beginning of the retries to the deadline, for the error message.
    retry_for: Duration,
}

impl RetryDeadline {
    /// Returns the deadline that is `retry_for` from now.
    pub(crate) fn after(retry_for: Duration) -> Self {
        Self { at: Instant::now() + retry_for, retry_for }
    }

    /// Returns whether the deadline is later than `wait` from now.
    pub(crate) fn allows(&self, wait: Duration) -> bool {
        Instant::now() + wait < self.at
    }

    /// Whether the deadline has passed.
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }
}

/// Work that a [`RetryDriver`] attempts until one attempt is final.
pub(crate) trait RetriedWork {
    /// The final result, which may be a failure.
    type Output;

    /// Whether a download waits for the work.
    fn urgency(&self) -> Urgency;

    /// Makes one attempt. [Connects](RetryDriver::connect) through `driver` if it needs a new connection.
    ///
    /// Returns `Break` with the final output, or `Continue` with the reason for another attempt.
    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<Self::Output, Error>;
}

/// Makes one attempt after another, in one outage after another.
pub(crate) struct RetryDriver {
    events: Events,
    urgency: Urgency,
    waits: ExponentialBackoff,
    /// The shortest next wait.
    min_wait: Duration,
    /// The attempts of this outage.
    attempts: u64,
    /// Why the last attempt was made.
    reason: Error,
    /// When an attempt last succeeded.
    last_success: Option<Instant>,
}

impl RetryDriver {
    /// Creates a driver that reports its attempts to `events`.
    pub(crate) fn new(events: Events, urgency: Urgency) -> Self {
        let reason = Error::new(Kind::Network, "the relay does not answer"); // until an attempt is announced
        let (waits, min_wait) = (waits(urgency), Duration::ZERO);
        Self { events, urgency, waits, min_wait, attempts: 0, reason, last_success: None }
    }

    /// Begins an outage. Retries immediately if the last connection made progress or was long-lived; otherwise waits as
    /// if the attempt that made the last connection had failed.
    pub(crate) async fn begin_outage(&mut self, last_connection: LastConnection) -> Outage {
        let was_good = last_connection == LastConnection::MadeProgress
            || self.last_success.is_none_or(|at| at.elapsed() >= LONG_LIVED);
        self.attempts = 0;
        if was_good {
            self.waits = waits(self.urgency);
            Outage::New
        } else {
            self.wait().await;
            Outage::Continued
        }
    }

    /// Makes attempts until one of them is final, with a wait between them.
    pub(crate) async fn run<W: RetriedWork>(&mut self, mut reason: Error, work: &mut W) -> W::Output {
        loop {
            self.announce_attempt(&reason);
            match work.attempt(self).await {
                ControlFlow::Break(output) => return output,
                ControlFlow::Continue(next_reason) => reason = next_reason,
            }
            self.set_urgency(work.urgency());
            self.wait().await;
        }
    }

    /// Like [`run`](Self::run), but cancels the attempt or the wait in progress at `deadline`.
    ///
    /// # Errors
    /// [`Kind::Network`] at the deadline.
    pub(crate) async fn run_until<W: RetriedWork>(
        &mut self,
        deadline: RetryDeadline,
        reason: Error,
        work: &mut W,
    ) -> Result<W::Output> {
        match timeout_at(deadline.at, self.run(reason, work)).await {
            Ok(output) => Ok(output),
            Err(_) => Err(self.timeout_error(deadline)),
        }
    }

    /// Connects with `dialer`, however long that takes. The next dial begins while the previous ones are still in
    /// progress: when a network returns, the first packet of a new connection arrives before the next retransmission of
    /// an old one.
    pub(crate) async fn connect(&mut self, dialer: &Dialer, urgency: impl Fn() -> Urgency) -> RelayConnection {
        let mut dials = JoinSet::new();
        let mut reason = self.reason.clone();
        loop {
            let dialer = dialer.clone();
            dials.spawn(async move { dialer.dial().await });
            self.set_urgency(urgency());
            let next_dial = self.wait();
            tokio::pin!(next_dial);
            loop {
                tokio::select! {
                    Some(Ok(dialed)) = dials.join_next() => match dialed {
                        Ok(connected) => return connected,
                        Err(e) => reason = e,
                    },
                    () = &mut next_dial => break,
                }
            }
            self.announce_attempt(&reason);
        }
    }

    /// Like [`connect`](Self::connect), but only until `deadline`.
    ///
    /// # Errors
    /// [`Kind::Network`] at the deadline.
    pub(crate) async fn connect_until(
        &mut self,
        dialer: &Dialer,
        deadline: RetryDeadline,
        urgency: impl Fn() -> Urgency,
    ) -> Result<RelayConnection> {
        match timeout_at(deadline.at, self.connect(dialer, urgency)).await {
            Ok(connected) => Ok(connected),
            Err(_) => Err(self.timeout_error(deadline)),
        }
    }

    /// Dials once with `dialer`, until `deadline`.
    ///
    /// # Errors
    /// Those of the dialer, and [`Kind::Network`] at the deadline.
    pub(crate) async fn dial_until(&self, dialer: &Dialer, deadline: RetryDeadline) -> Result<RelayConnection> {
        match timeout_at(deadline.at, dialer.dial()).await {
            Ok(dialed) => dialed,
            Err(_) => Err(self.timeout_error(deadline)),
        }
    }

    /// Notes that an attempt succeeded, and reports it if the attempt was announced.
    pub(crate) fn note_success(&mut self) {
        self.last_success = Some(Instant::now());
        if self.attempts > 0 {
            self.events.report(Event::Reconnected { attempt: self.attempts });
        }
    }

    /// Reports the route of a restored session if it is not the `former` one.
    pub(crate) fn report_route(&self, former: Route, route: Route) {
        if former != route {
            self.events.report(Event::Path { download: None, path: route });
        }
    }

    /// Waits until it is time for the next attempt.
    pub(crate) fn wait(&mut self) -> impl Future<Output = ()> + use<> {
        let min_wait = std::mem::take(&mut self.min_wait);
        sleep(self.waits.next().unwrap_or(MAX_WAIT_BUSY).max(min_wait))
    }

    /// Makes the next wait at least this long, as the relay requested. Caps it at [`MAX_LIMIT_WAIT`].
    pub(crate) fn delay_next(&mut self, wait: Duration) {
        self.min_wait = wait.min(MAX_LIMIT_WAIT);
    }

    /// Restarts the backoff if the urgency has changed.
    pub(crate) fn set_urgency(&mut self, urgency: Urgency) {
        if self.urgency != urgency {
            (self.urgency, self.waits) = (urgency, waits(urgency));
        }
    }

    fn announce_attempt(&mut self, reason: &Error) {
        self.attempts += 1;
        self.reason = reason.clone();
        let reason = reason.message().to_owned();
        self.events.report(Event::Reconnecting { attempt: self.attempts, reason });
    }

    fn timeout_error(&self, deadline: RetryDeadline) -> Error {
        let retry_for = humantime::format_duration(deadline.retry_for);
        Error::new(Kind::Network, format!("gave up reconnecting after {retry_for}: {}", self.reason.message()))
            .hint("run the same command again to resume, once the network and the sender are back")
    }
}

/// Returns the waits between attempts. They double up to a maximum. Jitter spreads out the clients of a relay.
fn waits(urgency: Urgency) -> ExponentialBackoff {
    let max_wait = match urgency {
        Urgency::Busy => MAX_WAIT_BUSY,
        Urgency::Idle => MAX_WAIT_IDLE,
    };
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(max_wait)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails this many times, without a connection, and then succeeds.
    struct Countdown(u32);

    impl RetriedWork for Countdown {
        type Output = &'static str;

        fn urgency(&self) -> Urgency {
            Urgency::Busy
        }

        async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<&'static str, Error> {
            if self.0 == 0 {
                driver.note_success();
                return ControlFlow::Break("done");
            }
            self.0 -= 1;
            ControlFlow::Continue(failure("the attempt failed"))
        }
    }

    fn failure(message: &str) -> Error {
        Error::new(Kind::Network, message)
    }

    fn driver(events: Events) -> RetryDriver {
        RetryDriver::new(events, Urgency::Busy)
    }

    #[test]
    fn waits_grow_to_their_maximum_and_never_end() {
        for (urgency, longest) in [(Urgency::Busy, 2), (Urgency::Idle, 16)] {
            let waits: Vec<_> = waits(urgency).take(1_000).collect();
            assert_eq!(waits.len(), 1_000);
            assert!(waits[0] <= Duration::from_millis(200));
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(longest)), "{waits:?}");
            assert!(waits[500..].iter().all(|wait| *wait >= Duration::from_secs(longest) / 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_is_announced_until_one_succeeds() {
        let (events, mut reported) = Events::channel();
        assert_eq!(driver(events).run(failure("lost"), &mut Countdown(2)).await, "done");
        let mut seen = Vec::new();
        while let Some(event) = reported.try_recv() {
            seen.push(match event {
                Event::Reconnecting { attempt, reason } => format!("{attempt}: {reason}"),
                Event::Reconnected { attempt } => format!("{attempt} succeeded"),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(seen, ["1: lost", "2: the attempt failed", "3: the attempt failed", "3 succeeded"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_lengthens_only_the_next_wait() {
        let (events, _reported) = Events::channel();
        let mut driver = driver(events);
        for (delay, expected) in [(20, 20), (0, 0), (10_000, 60)] {
            let started = Instant::now();
            driver.delay_next(Duration::from_secs(delay));
            driver.wait().await;
            driver.waits = waits(Urgency::Busy);
            assert_eq!(started.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_at_their_deadline() {
        let (events, _reported) = Events::channel();
        let started = Instant::now();
        let deadline = RetryDeadline::after(Duration::from_secs(600));
        let ended = driver(events).run_until(deadline, failure("lost"), &mut Countdown(u32::MAX)).await;
        let error = ended.unwrap_err();
        assert_eq!(error.message(), "gave up reconnecting after 10m: the attempt failed");
        assert_eq!(started.elapsed().as_secs(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_or_a_long_connection_restarts_the_backoff() {
        let (events, _reported) = Events::channel();
        let mut driver = driver(events);
        assert_eq!(driver.begin_outage(LastConnection::MadeNoProgress).await, Outage::New, "the first outage");
        driver.note_success();
        assert_eq!(driver.begin_outage(LastConnection::MadeNoProgress).await, Outage::Continued);
        assert_eq!(driver.begin_outage(LastConnection::MadeProgress).await, Outage::New);
        sleep(LONG_LIVED).await;
        assert_eq!(driver.begin_outage(LastConnection::MadeNoProgress).await, Outage::New, "it was long-lived");
    }
}
