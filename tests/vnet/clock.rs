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

/// The step of virtual time. A packet that arrives within a step is delivered at its end. Shorter steps cost more,
/// because each one runs all tasks that wait for packets. A [`TICK`] is a whole number of steps.
pub(crate) const STEP: Duration = Duration::from_micros(50);

/// The resolution of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

/// A test that takes longer, in virtual time, waits for an event that never happens.
const MAX_VIRTUAL_TIME: Duration = Duration::from_secs(24 * 3600);

/// A test that takes longer on the real clock hangs.
const MAX_REAL_TIME: Duration = Duration::from_secs(60);

/// Runs `work` in virtual time on a network with this seed.
///
/// # Panics
/// If `work` panics, or waits for something that never happens: that is, takes more than a day of virtual time.
pub(crate) fn run_in_virtual_time<T>(seed: u64, work: impl AsyncFnOnce(Network) -> T) -> T {
    let idle = Arc::new(IdleDetector::default());
    let detector = Arc::clone(&idle);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_park(move || detector.notify())
        .max_blocking_threads(1) // see `TimeDriver::settle`
        .build()
        .unwrap();
    runtime.block_on(async {
        let network = Network::start(seed, TimeDriver::Virtual { idle, spawned: None });
        timeout(MAX_VIRTUAL_TIME, work(network)).await.expect("the test waits for an event that never happens")
    })
}

/// Runs `work` on the real clock on a network with this seed.
///
/// # Panics
/// If `work` panics or takes more than a minute.
pub(crate) fn run_in_real_time<T>(seed: u64, work: impl AsyncFnOnce(Network) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let network = Network::start(seed, TimeDriver::Real);
        timeout(MAX_REAL_TIME, work(network)).await.expect("the test hangs")
    })
}

/// The way in which a network waits for its next action.
pub(super) enum TimeDriver {
    /// Waits for the clock.
    Real,
    /// Waits until the runtime is idle, then advances the clock.
    Virtual {
        /// Notices when the runtime is idle.
        idle: Arc<IdleDetector>,
        /// The number of tasks that had been spawned when the blocking thread was last known to be idle.
        spawned: Option<u64>,
    },
}

impl TimeDriver {
    /// Waits until the time of the next action, or until `rescheduled` is notified. `next` counts from `began`.
    pub(super) async fn wait(&mut self, began: Instant, next: impl Fn() -> Option<Duration>, rescheduled: &Notify) {
        let until = match self {
            Self::Real => next(),
            Self::Virtual { .. } => {
                // tokio's paused clock advances by whole ticks. Between ticks this code advances it, up to the next
                // tick.
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
        let reached = async {
            match until {
                Some(at) => sleep_until(began + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = reached => {}
            () = rescheduled.notified() => {}
        }
    }

    /// Waits until the runtime is idle: no task is ready, and no blocking job runs.
    ///
    /// tokio does not advance its own paused clock while a blocking job runs, but a call of `advance` does not wait for
    /// one. There is one blocking thread, which runs its jobs in order, so that all earlier jobs are done once a job of
    /// this function is. If no task was spawned since the thread was last known to be idle, there is no job to wait
    /// for.
    async fn settle(&mut self) {
        /// Other tests of this process spawn tasks too, so that the check may find new tasks although there are none
        /// here. That costs further rounds, and this bounds them.
        const MAX_ROUNDS: usize = 1000;
        let Self::Virtual { idle, spawned } = self else { return };
        for _ in 0..MAX_ROUNDS {
            idle.wait().await;
            let before = spawned.replace(tasks_spawned_elsewhere());
            if before == *spawned {
                return;
            }
            let _ = spawn_last_job().await;
        }
    }
}

fn floor(time: Duration, step: Duration) -> Duration {
    Duration::from_nanos((time.as_nanos() / step.as_nanos() * step.as_nanos()) as u64)
}

/// Notices when the runtime is idle.
#[derive(Default)]
pub(super) struct IdleDetector(Mutex<Option<Waker>>);

impl IdleDetector {
    /// Wakes the waiting task when the runtime thread is about to park. The runtime polls that task before it parks.
    fn notify(&self) {
        if let Some(waker) = self.waker().take() {
            waker.wake();
        }
    }

    async fn wait(&self) {
        let mut registered = false;
        poll_fn(|cx| {
            let mut waker = self.waker();
            if registered && waker.is_none() {
                return Poll::Ready(());
            }
            registered = true;
            *waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of tasks that this module has spawned in this process.
static OWN_TASKS: Mutex<u64> = Mutex::new(0);

/// Returns the number of tasks that the rest of this process has spawned, blocking jobs included. tokio numbers all
/// tasks consecutively.
fn tasks_spawned_elsewhere() -> u64 {
    let mut ours = OWN_TASKS.lock().unwrap_or_else(PoisonError::into_inner);
    *ours += 1;
    let number: u64 = tokio::spawn(async {}).id().to_string().parse().expect("task ids are numbers");
    number.wrapping_sub(*ours)
}

/// Spawns a blocking job, which ends after all earlier ones.
fn spawn_last_job() -> JoinHandle<()> {
    let mut ours = OWN_TASKS.lock().unwrap_or_else(PoisonError::into_inner);
    *ours += 1;
    spawn_blocking(|| ())
}
