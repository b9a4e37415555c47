//! The latest scan of the shared paths, which downloads reuse while it is fresh.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    blocking::run_blocking,
    disk::Source,
    error::{Error, Kind, Result},
};

/// The longest time for which a scan is reused. Each download should offer the current state of the files.
const MAX_FRESH: Duration = Duration::from_secs(2);

/// The latest scan. Clones share it.
#[derive(Clone)]
pub(crate) struct LatestScan(
    /// Locked while a scan runs, so scans never overlap.
    Arc<Mutex<CachedScan>>,
);

struct CachedScan {
    /// The latest scan that succeeded.
    source: Arc<Source>,
    /// The result of the latest scan.
    result: Result<Arc<Source>>,
    /// The start of the latest scan. Receivers that arrived earlier share its result.
    start: Instant,
    fresh_until: Instant,
}

impl LatestScan {
    /// Creates a handle with `source` as the latest scan. The first download scans again.
    pub(super) fn new(source: Source) -> Self {
        let (source, now) = (Arc::new(source), Instant::now());
        let latest = CachedScan { result: Ok(Arc::clone(&source)), source, start: now, fresh_until: now };
        Self(Arc::new(Mutex::new(latest)))
    }

    /// Returns the latest scan if it began after this call or is fresh, and otherwise scans the paths anew.
    ///
    /// # Errors
    /// Those of [`Source::rescan`], if a path is missing or unreadable.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, a running scan continues for other receivers.
    pub(super) async fn get(&self) -> Result<Arc<Source>> {
        let (scan, arrival) = (self.clone(), Instant::now());
        // The scan runs in its own task, because the lock must be held until it ends, even if the receiver leaves.
        let refreshed = tokio::spawn(async move { scan.refresh(arrival).await });
        refreshed.await.unwrap_or_else(|e| Err(Error::new(Kind::Transfer, format!("a background task failed: {e}"))))
    }

    /// Scans the paths unless the latest scan is recent enough for a receiver that arrived at `arrival`.
    async fn refresh(&self, arrival: Instant) -> Result<Arc<Source>> {
        let mut latest = self.0.lock().await;
        if latest.start > arrival || Instant::now() < latest.fresh_until || !latest.source.is_on_disk() {
            return latest.result.clone();
        }
        let (previous, start) = (Arc::clone(&latest.source), Instant::now());
        let result = run_blocking(move || previous.rescan()).await.map(Arc::new);
        // A scan is reused for as long as it took, so that repeated requests scan for at most half of the time.
        let fresh_until = Instant::now() + start.elapsed().min(MAX_FRESH);
        let source = result.as_ref().map_or_else(|_| Arc::clone(&latest.source), Arc::clone);
        *latest = CachedScan { source, result: result.clone(), start, fresh_until };
        result
    }

    /// Makes the next download scan anew, because a file has changed since the latest scan.
    pub(super) async fn invalidate(&self) {
        self.0.lock().await.fresh_until = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::ScanOptions, manifest::ShareId};

    fn latest_scan(home: &std::path::Path) -> LatestScan {
        LatestScan::new(Source::scan(&[home.to_owned()], None, ShareId::random(), ScanOptions::default()).unwrap())
    }

    #[tokio::test]
    async fn receivers_that_arrive_together_share_a_scan() {
        let home = tempfile::tempdir().unwrap();
        let scan = latest_scan(home.path());
        let running = scan.0.lock().await; // as if another scan were running
        let receivers: Vec<_> = (0..100)
            .map(|_| {
                let scan = scan.clone();
                tokio::spawn(async move { scan.get().await.unwrap() })
            })
            .collect();
        tokio::task::yield_now().await; // all receivers have arrived
        drop(running);
        let mut scans: Vec<Arc<Source>> = Vec::new();
        for receiver in receivers {
            let source = receiver.await.unwrap();
            if !scans.iter().any(|other| Arc::ptr_eq(other, &source)) {
                scans.push(source);
            }
        }
        assert_eq!(scans.len(), 1);
    }

    #[tokio::test]
    async fn a_failed_scan_is_shared_and_repeated() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        std::fs::write(&path, "").unwrap();
        let scan = latest_scan(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(scan.get().await.is_err());
        scan.invalidate().await;
        std::fs::write(&path, "").unwrap();
        assert!(scan.get().await.is_ok());
    }
}
