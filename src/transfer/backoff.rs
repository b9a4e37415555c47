//! When and how to try again, after a line has died.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::transfer::Events;
use crate::{
    error::{Error, Kind},
    event::Event,
    net::{Dialer, RelayConnection},
};

/// The longest wait between two tries while a download waits for them, before chance adds as much again at the most.
const BUSY: Duration = Duration::from_secs(1);

/// The same while nobody is known to wait: a receiver may come at any time, and is told that there is no such code.
const IDLE: Duration = Duration::from_secs(8);

/// A line that has lived for so long was worth the try.
const WORTH_IT: Duration = Duration::from_secs(10);

/// Tries to come back, one after another, in one outage after another.
pub(crate) struct RetryDriver {
    dialer: Dialer,
    events: Events,
    waits: ExponentialBackoff,
    busy: bool,
    made: u64,
    /// Why the last one was made.
    reason: Option<Error>,
    /// When the last good one was made.
    succeeded: Option<Instant>,
}

impl RetryDriver {
    /// None yet; `busy` says whether a download waits for them.
    pub(crate) fn new(dialer: Dialer, events: Events, busy: bool) -> Self {
        Self { dialer, events, waits: waits(busy), busy, made: 0, reason: None, succeeded: None }
    }

    /// There is an outage, the first one or another. Where the last good try has brought something the first one of this is
    /// made at once, else it waits as if that had failed: `true` is the former.
    pub(crate) async fn begin(&mut self, has_brought: bool) -> bool {
        let is_new = has_brought || self.succeeded.is_none_or(|at| at.elapsed() >= WORTH_IT);
        self.made = 0;
        if is_new {
            self.waits = waits(self.busy);
        } else {
            self.wait().await;
        }
        is_new
    }

    /// The next try begins, because of this.
    pub(crate) fn next(&mut self, reason: &Error) {
        self.made += 1;
        self.reason = Some(reason.clone());
        let reason = reason.message().to_owned();
        self.events.mention(Event::Reconnecting { attempt: self.made, reason });
    }

    /// How it is told that they were all in vain.
    pub(crate) fn in_vain(&self, retry_for: Duration) -> Error {
        let nobody = || Error::new(Kind::Network, "the relay does not answer");
        let reason = self.reason.clone().unwrap_or_else(nobody);
        let tried = humantime::format_duration(retry_for);
        Error::new(Kind::Network, format!("tried for {tried} in vain: {}", reason.message()))
            .hint("the same command goes on with what is here, once the line or the sender is back")
    }

    /// Makes a connection, however long that takes; `is_busy` says whether a download waits for it. A try goes on while the
    /// next one is made: over a line that comes back, the first packet of a new one is there before the next packet of an
    /// old one.
    pub(crate) async fn connect(&mut self, mut reason: Error, is_busy: impl Fn() -> bool) -> RelayConnection {
        let mut trying = JoinSet::new();
        loop {
            let dialer = self.dialer.clone();
            trying.spawn(async move { dialer.dial().await });
            self.set_busy(is_busy());
            let over = self.wait();
            tokio::pin!(over);
            loop {
                tokio::select! {
                    Some(Ok(tried)) = trying.join_next() => match tried {
                        Ok(connected) => return connected,
                        Err(e) => reason = e,
                    },
                    () = &mut over => break,
                }
            }
            self.next(&reason);
        }
    }

    /// Waits until it is time for the next try.
    pub(crate) fn wait(&mut self) -> impl Future<Output = ()> + use<> {
        sleep(self.waits.next().unwrap_or(BUSY))
    }

    /// Whether a download waits now: the waits begin anew where that is not what it was.
    pub(crate) fn set_busy(&mut self, busy: bool) {
        if self.busy != busy {
            (self.busy, self.waits) = (busy, waits(busy));
        }
    }

    /// One was good.
    pub(crate) fn succeeded(&mut self) {
        self.succeeded = Some(Instant::now());
        if self.made > 0 {
            self.events.mention(Event::Reconnected { attempt: self.made });
        }
    }
}

/// The waits between the tries: they double, and chance keeps many ends of one relay from coming all at once.
fn waits(busy: bool) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(if busy { BUSY } else { IDLE })
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_never_end() {
        for (busy, longest) in [(true, 2), (false, 16)] {
            let waits: Vec<_> = waits(busy).take(1_000).collect();
            assert_eq!(waits.len(), 1_000);
            assert!(waits[0] <= Duration::from_millis(200));
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(longest)), "{waits:?}");
            assert!(waits[500..].iter().all(|wait| *wait >= Duration::from_secs(longest) / 2));
        }
    }
}
