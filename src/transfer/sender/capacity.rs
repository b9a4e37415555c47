//! The bounded resources of a share: sessions, downloads and handshakes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    download_limit::{DownloadLimit, DownloadPermit},
    session_table::{EvictionScope, SessionTable},
};

/// The most sessions that a share serves at the same time. Further receivers are refused.
const MAX_SESSIONS: usize = 256;

/// The most streams with unauthenticated peers at the same time. Further peers are refused.
const MAX_UNAUTHENTICATED: usize = 256;

/// The most handshakes of resuming receivers at the same time. They cost no attempt of the guess budget, so they need a
/// bound of their own.
const MAX_RESUMPTION_HANDSHAKES: usize = 16;

/// How long a session that must end may take to release its permit.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a receiver has authenticated itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionOrigin {
    /// It knew the code: this is a new receiver.
    Code,
    /// It had a resumption grant: it resumes, and a session of its previous process may still hold its permits.
    Resumption,
}

/// The permits of a share.
pub(crate) struct Capacity {
    downloads: DownloadLimit,
    sessions: Arc<Semaphore>,
    unauthenticated: Arc<Semaphore>,
    resumption_permits: Semaphore,
    table: Arc<SessionTable>,
}

impl Capacity {
    /// Creates the permits of a share, all of them free. Sessions in `table` may be evicted when permits run out.
    pub(super) fn new(max_downloads: Option<u64>, table: Arc<SessionTable>) -> Self {
        Self {
            downloads: DownloadLimit::new(max_downloads),
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
            unauthenticated: Arc::new(Semaphore::new(MAX_UNAUTHENTICATED)),
            resumption_permits: Semaphore::new(MAX_RESUMPTION_HANDSHAKES),
            table,
        }
    }

    /// Takes a download permit; returns `None` when none is free.
    ///
    /// If none is free, a new receiver evicts a session whose receiver has been disconnected for long. A resuming
    /// receiver waits for its own previous session, which is about to end.
    pub(super) async fn acquire_download(&self, origin: SessionOrigin) -> Option<DownloadPermit> {
        match self.downloads.try_acquire() {
            None if origin == SessionOrigin::Resumption || self.table.evict(EvictionScope::WithDownload) => {
                timeout(RELEASE_TIMEOUT, self.downloads.acquire()).await.ok()
            }
            permit => permit,
        }
    }

    /// Takes a session permit; returns `None` when none is free. Evicts and waits like
    /// [`acquire_download`](Self::acquire_download).
    pub(super) async fn acquire_session(&self, origin: SessionOrigin) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.sessions).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) if origin == SessionOrigin::Resumption || self.table.evict(EvictionScope::All) => {
                timeout(RELEASE_TIMEOUT, Arc::clone(&self.sessions).acquire_owned()).await.ok()?.ok()
            }
            Err(_) => None,
        }
    }

    /// Takes a permit for a stream with an unauthenticated peer; returns `None` when none is free.
    pub(super) fn try_acquire_unauthenticated(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unauthenticated).try_acquire_owned().ok()
    }

    /// Returns the permits for handshakes of resuming receivers.
    pub(super) fn resumption_permits(&self) -> &Semaphore {
        &self.resumption_permits
    }

    /// Returns the download limit of the share.
    pub(super) fn downloads(&self) -> &DownloadLimit {
        &self.downloads
    }
}
