//! A warning whose cause may recur many times a second.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::Mutex;

/// The shortest time between two reports of the same warning.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Limits the reports of a warning: the first one at once, then at most one per [`REPORT_INTERVAL`], with a count.
#[derive(Default)]
pub(super) struct RepeatedWarning(Mutex<WarningState>);

#[derive(Default)]
struct WarningState {
    reported_at: Option<Instant>,
    /// The occurrences since the last report.
    unreported: u64,
}

impl RepeatedWarning {
    /// Counts an occurrence. Returns the number of occurrences to report; `None` if no report is due.
    pub(super) fn note(&self) -> Option<u64> {
        let mut state = self.0.lock();
        state.unreported += 1;
        if state.reported_at.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return None;
        }
        state.reported_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unreported))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn occurrences_between_two_reports_are_counted() {
        let warning = RepeatedWarning::default();
        assert_eq!(warning.note(), Some(1));
        for _ in 0..1_000 {
            assert_eq!(warning.note(), None);
        }
        advance(REPORT_INTERVAL).await;
        assert_eq!(warning.note(), Some(1_001));
        assert_eq!(warning.note(), None);
    }
}
