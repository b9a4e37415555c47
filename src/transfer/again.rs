//! When to try again, after a line has died.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The longest wait between two tries while a download waits for them, before chance adds as much again at the most.
const BUSY: Duration = Duration::from_secs(1);

/// The same while nobody waits.
const IDLE: Duration = Duration::from_secs(30);

/// How long a line may be silent while a download runs.
pub(super) const SILENT: Duration = Duration::from_millis(5_500);

/// The waits before the tries from the second on: they double, and chance keeps many ends of one relay from coming all
/// at once. `busy` says whether a download waits.
pub(super) fn waits(busy: bool) -> impl Iterator<Item = Duration> {
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
        for (busy, longest) in [(true, 2), (false, 60)] {
            let waits: Vec<_> = waits(busy).take(1_000).collect();
            assert_eq!(waits.len(), 1_000);
            assert!(waits[0] <= Duration::from_millis(200));
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(longest)), "{waits:?}");
            assert!(waits[500..].iter().all(|wait| *wait >= Duration::from_secs(longest) / 2));
        }
    }
}
