//! The refusal of a request or resource because of a limit.

use std::time::Duration;

use crate::wire::relay_limit::RelayLimit;

/// A refusal because of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) limit: RelayLimit,
    /// Seconds until a retry may succeed, at least 1.
    pub(super) retry_after: u32,
}

impl Refusal {
    /// Creates a refusal that lasts for `wait`.
    pub(super) fn until(limit: RelayLimit, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).clamp(1, u32::MAX.into());
        Self { limit, retry_after: seconds as u32 }
    }
}
