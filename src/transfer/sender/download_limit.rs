//! The number of downloads that a share allows: how many run, and how many are complete.

use tokio::sync::watch;

/// The download limit of a share. A handle: clones share one count.
#[derive(Debug, Clone)]
pub(crate) struct DownloadLimit {
    count: watch::Sender<DownloadCount>,
    max: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct DownloadCount {
    running: u64,
    complete: u64,
}

impl DownloadLimit {
    /// Allows `max` complete downloads; `None` allows any number.
    pub(super) fn new(max: Option<u64>) -> Self {
        Self { count: watch::Sender::new(DownloadCount::default()), max }
    }

    /// Takes a permit; returns `None` when running and complete downloads reach the limit.
    pub(super) fn try_acquire(&self) -> Option<DownloadPermit> {
        let acquired = self.count.send_if_modified(|count| {
            let is_free = self.max.is_none_or(|max| count.running + count.complete < max);
            count.running += u64::from(is_free);
            is_free
        });
        acquired.then(|| DownloadPermit { limit: self.clone(), is_complete: false })
    }

    /// Waits for a permit. Never completes when all downloads are complete.
    pub(super) async fn acquire(&self) -> DownloadPermit {
        let mut count = self.count.subscribe();
        loop {
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            let _ = count.changed().await; // cannot fail: `self` owns the sender
        }
    }

    /// Returns the number of running downloads.
    pub(super) fn running(&self) -> u64 {
        self.count.borrow().running
    }

    /// Waits until as many downloads as allowed are complete, and returns their number.
    pub(super) async fn wait_until_reached(&self) -> u64 {
        let Some(max) = self.max else { return std::future::pending().await };
        // Cannot fail: `self` owns the sender.
        let _ = self.count.subscribe().wait_for(|count| count.complete >= max).await;
        max
    }
}

/// A permit for one download. Dropping it frees the permit for another download.
#[derive(Debug)]
pub(crate) struct DownloadPermit {
    limit: DownloadLimit,
    is_complete: bool,
}

impl DownloadPermit {
    /// Counts the download as complete, which uses up the permit.
    pub(super) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for DownloadPermit {
    fn drop(&mut self) {
        self.limit.count.send_modify(|count| {
            count.running -= 1;
            count.complete += u64::from(self.is_complete);
        });
    }
}
