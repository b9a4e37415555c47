//! The clock that ends a share after its lifetime. It also runs while the machine sleeps.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the wall clock is read. The monotonic clock stops while a machine sleeps (`CLOCK_MONOTONIC` on Linux), so
/// a timer alone would fire late.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(30);

/// Waits until `lifetime` has passed on the monotonic clock or on the wall clock, whichever is first. `wall_clock_ms`
/// returns the milliseconds since 1970.
pub(super) async fn wait_until_expired(lifetime: Duration, wall_clock_ms: impl Fn() -> u64) {
    let end = Instant::now() + lifetime;
    let end_ms = wall_clock_ms().saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX));
    while Instant::now() < end && wall_clock_ms() < end_ms {
        sleep_until(end.min(Instant::now() + WALL_CLOCK_INTERVAL)).await;
    }
}
