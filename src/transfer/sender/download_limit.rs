//! The downloads that a share allows: which are taken, and which are done.

use tokio::sync::watch;

/// A handle; clones share one count.
#[derive(Debug, Clone)]
pub(crate) struct DownloadLimit {
    count: watch::Sender<Count>,
    most: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    running: u64,
    done: u64,
}

impl DownloadLimit {
    /// Places for `most` complete downloads; `None` for any number.
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self { count: watch::Sender::new(Count::default()), most }
    }

    /// Takes a place; `None` when all are running or done.
    pub(crate) fn take(&self) -> Option<DownloadPermit> {
        let taken = self.count.send_if_modified(|count| {
            let free = self.most.is_none_or(|most| count.running + count.done < most);
            count.running += u64::from(free);
            free
        });
        taken.then(|| DownloadPermit { places: self.clone(), finished: false })
    }

    /// Takes the next place that is given back.
    pub(crate) async fn next_free(&self) -> DownloadPermit {
        let mut count = self.count.subscribe();
        loop {
            if let Some(place) = self.take() {
                return place;
            }
            let _ = count.changed().await; // the channel lives in this handle
        }
    }

    /// Downloads that run.
    pub(crate) fn running(&self) -> u64 {
        self.count.borrow().running
    }

    /// Completes when every download that is allowed is done.
    pub(crate) async fn all_done(&self) {
        let all = |count: &Count| self.most.is_some_and(|most| count.done >= most);
        let _ = self.count.subscribe().wait_for(all).await; // the channel lives in this handle
    }
}

/// One of the downloads, taken until this is released or dropped.
#[derive(Debug)]
pub(crate) struct DownloadPermit {
    places: DownloadLimit,
    finished: bool,
}

impl DownloadPermit {
    /// Gives the place back, or books it as done.
    pub(crate) fn release(mut self, finished: bool) {
        self.finished = finished;
    }
}

impl Drop for DownloadPermit {
    fn drop(&mut self) {
        self.places.count.send_modify(|count| {
            count.running -= 1;
            count.done += u64::from(self.finished);
        });
    }
}
