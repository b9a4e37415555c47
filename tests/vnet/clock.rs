//! The two clocks that a network can run on.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, advance, sleep_until, timeout},
};

use super::network::Network;

/// In virtual time, a packet that arrives within such a step is delivered at its end. Shorter steps cost more: each is
/// a round of all that waits for packets. A whole number of them makes a [`TICK`].
pub(crate) const STEP: Duration = Duration::from_micros(50);

/// The time between two moments at which tokio's timers can fire.
const TICK: Duration = Duration::from_millis(1);

/// What takes longer, in virtual time, will never end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What takes longer on the real clock has hung.
const LONGEST_REAL: Duration = Duration::from_secs(60);

/// Runs `work` in virtual time, on a network with this seed.
///
/// # Panics
/// Where `work` panics or takes more than a day of virtual time, that is, waits for something that never happens.
pub(crate) fn virtually<T>(seed: u64, work: impl AsyncFnOnce(Network) -> T) -> T {
    let idle = Arc::new(Idle::default());
    let parked = Arc::clone(&idle);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_park(move || parked.notice())
        .max_blocking_threads(1) // see `RateLimiter::settle`
        .build()
        .unwrap();
    runtime.block_on(async {
        let network = Network::start(seed, RateLimiter::Virtual { idle, spawned: None });
        timeout(LONGEST, work(network)).await.expect("nothing will happen any more")
    })
}

/// Runs `work` on the real clock, on a network with this seed.
///
/// # Panics
/// Where `work` panics or takes more than a minute.
pub(crate) fn really<T>(seed: u64, work: impl AsyncFnOnce(Network) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let network = Network::start(seed, RateLimiter::Real);
        timeout(LONGEST_REAL, work(network)).await.expect("it takes too long")
    })
}

/// How a network waits for what happens next.
pub(super) enum RateLimiter {
    /// Until the clock says so.
    Real,
    /// Until nobody else has anything to do; then it moves the clock.
    Virtual {
        /// Tells when that is.
        idle: Arc<Idle>,
        /// How many tasks had been spawned when no blocking thread had anything to do.
        spawned: Option<u64>,
    },
}

impl RateLimiter {
    /// Waits until the time of what happens next, or until that may have changed. `began` is the time from which `next`
    /// counts.
    pub(super) async fn wait(&mut self, began: Instant, next: impl Fn() -> Option<Duration>, changed: &Notify) {
        let until = match self {
            Self::Real => next(),
            Self::Virtual { .. } => {
                // tokio's own clock goes by whole ticks. Between two of them it is moved here, always up to the next.
                let now = began.elapsed();
                let tick = floor(now, TICK) + TICK;
                let is_soon = |next: Option<Duration>| next.is_some_and(|at| at < tick);
                if now != floor(now, TICK) || is_soon(next()) {
                    self.settle().await;
                    let next = next();
                    if now == floor(now, TICK) && !is_soon(next) {
                        return;
                    }
                    let stop = next.map_or(tick, |at| tick.min(floor(at + STEP - Duration::from_nanos(1), STEP)));
                    return advance(stop.saturating_sub(now)).await;
                }
                next().map(|at| floor(at, TICK))
            }
        };
        let moved = async {
            match until {
                Some(at) => sleep_until(began + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = moved => {}
            () = changed.notified() => {}
        }
    }

    /// Waits until nobody has anything to do any more: no task, and no blocking thread.
    ///
    /// tokio holds its own clock still while a blocking thread works, but not one that is moved by hand. There is one
    /// such thread and it works in order, so that a job of ours is done only when all before it are. Whether there can
    /// be any is told by whether anything was spawned since it was last known that there are none.
    async fn settle(&mut self) {
        /// Others in this process spawn too, so that this is not always certain. Then it costs a few rounds more; it
        /// is given up where it costs too many.
        const ROUNDS: usize = 1000;
        let Self::Virtual { idle, spawned } = self else { return };
        for _ in 0..ROUNDS {
            idle.wait().await;
            let before = spawned.replace(spawned_by_others());
            if before == *spawned {
                return;
            }
            let _ = last_job().await;
        }
    }
}

fn floor(time: Duration, step: Duration) -> Duration {
    Duration::from_nanos((time.as_nanos() / step.as_nanos() * step.as_nanos()) as u64)
}

/// Tells when the runtime has nothing to do.
#[derive(Default)]
pub(super) struct Idle(Mutex<Option<Waker>>);

impl Idle {
    /// The thread is about to park. Whoever is woken here is polled before it does.
    fn notice(&self) {
        if let Some(waker) = self.waiting().take() {
            waker.wake();
        }
    }

    async fn wait(&self) {
        let mut waits = false;
        poll_fn(|cx| {
            let mut waiting = self.waiting();
            if waits && waiting.is_none() {
                return Poll::Ready(());
            }
            waits = true;
            *waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many tasks of this module have been spawned in this process.
static OURS: Mutex<u64> = Mutex::new(0);

/// How many tasks of others have been spawned in this process, blocking ones too: tokio numbers all of them.
fn spawned_by_others() -> u64 {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    *ours += 1;
    let number: u64 = tokio::spawn(async {}).id().to_string().parse().expect("a number");
    number.wrapping_sub(*ours)
}

/// A job that is done when all before it are.
fn last_job() -> JoinHandle<()> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    *ours += 1;
    spawn_blocking(|| ())
}
