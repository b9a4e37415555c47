//! The latest scan of the shared paths, which downloads reuse while it is fresh.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{blocking::run_blocking, disk::Source, error::Result};

/// The longest time for which a scan is reused. Each download should offer the current state of the files.
const MAX_FRESH: Duration = Duration::from_secs(2);

/// The latest scan. Locked while a new scan runs, so that all waiting downloads get its result.
pub(crate) struct LatestScan {
    name: Option<String>,
    latest: Mutex<CachedScan>,
}

struct CachedScan {
    source: Arc<Source>,
    fresh_until: Instant,
}

impl LatestScan {
    /// Starts with `source`, which the first download does not reuse. `name` replaces the name of the first path.
    pub(super) fn new(source: Source, name: Option<String>) -> Self {
        Self { name, latest: Mutex::new(CachedScan { source: Arc::new(source), fresh_until: Instant::now() }) }
    }

    /// Returns the latest scan if it is fresh, otherwise scans the paths anew.
    ///
    /// # Errors
    /// Those of [`Source::rescan`], if a path is missing or unreadable.
    pub(super) async fn get(&self) -> Result<Arc<Source>> {
        let mut latest = self.latest.lock().await;
        if Instant::now() < latest.fresh_until {
            return Ok(Arc::clone(&latest.source));
        }
        let (previous, name, start) = (Arc::clone(&latest.source), self.name.clone(), Instant::now());
        let source = Arc::new(run_blocking(move || previous.rescan(name.as_deref())).await?);
        // A scan is reused for as long as it took, so that repeated requests scan for at most half of the time.
        let fresh_for = start.elapsed().min(MAX_FRESH);
        *latest = CachedScan { source: Arc::clone(&source), fresh_until: Instant::now() + fresh_for };
        Ok(source)
    }

    /// Makes the next download scan anew, because a file has changed since the latest scan.
    pub(super) async fn invalidate(&self) {
        self.latest.lock().await.fresh_until = Instant::now();
    }
}
