//! Runs blocking work, such as disk access, on tokio's threads for it.

use std::panic::resume_unwind;

use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, Kind, Result};

/// Runs `work` on a thread for blocking work and returns its result.
///
/// # Errors
/// Those of `work`; [`Kind::Transfer`] if the runtime shuts down.
///
/// # Panics
/// If `work` panics.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(cancelled(e)),
    }
}

/// Returns the error for a task that was cancelled, because the runtime shuts down.
///
/// # Panics
/// If the task panicked: a bug in one task ends the work that depends on it. The panic was reported where it happened.
pub(crate) fn cancelled(e: JoinError) -> Error {
    match e.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => Error::new(Kind::Transfer, "the program is ending"),
    }
}
