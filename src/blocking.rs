//! Runs blocking work, such as disk access, on tokio's threads for it.

use tokio::task::spawn_blocking;

use crate::error::{Error, Kind, Result};

/// Runs `work` on a thread for blocking work and returns its result.
///
/// # Errors
/// Those of `work`; [`Kind::Transfer`] if it panics or the runtime shuts down.
pub async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(Error::new(Kind::Transfer, format!("a background task failed: {e}"))),
    }
}
