//! The bounded resources of a share: sessions, downloads and handshakes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    download_limit::{DownloadLimit, DownloadPermit},
    fair_permits::FairPermits,
    session_table::{EvictionScope, SessionTable},
};
use crate::wire::relay::SourceTag;

/// The most sessions that a share serves at the same time. Further receivers are refused.
const MAX_SESSIONS: usize = 256;

/// The most streams with peers that have neither paid an attempt nor shown a valid id. An honest receiver is among them
/// for no longer than it takes to read its first frame, or for up to 30 s while it waits for an attempt.
const MAX_UNAUTHENTICATED: usize = 256;

/// The most of these streams that may come from one site. Four sites together can fill the capacity.
const MAX_UNAUTHENTICATED_PER_SITE: usize = 64;

/// The most handshakes of resuming receivers at the same time: as many as the limit of sessions. They cost no attempt
/// of the guess budget, so they need a bound of their own.
const MAX_RESUMING: usize = MAX_SESSIONS;

/// The most of these handshakes that one receiver may have. A receiver that has lost its connection begins another one
/// before the sender detects the loss.
const MAX_RESUMING_PER_RECEIVER: usize = 2;

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
    unauthenticated: FairPermits<SourceTag>,
    resuming: FairPermits<[u8; 16]>,
    table: Arc<SessionTable>,
}

impl Capacity {
    /// Creates the permits of a share, all of them free. Sessions in `table` may be evicted when permits run out.
    pub(super) fn new(max_downloads: Option<u64>, table: Arc<SessionTable>) -> Self {
        Self {
            downloads: DownloadLimit::new(max_downloads),
            sessions: Arc::new(Semaphore::new(MAX_SESSIONS)),
            unauthenticated: FairPermits::new(MAX_UNAUTHENTICATED, MAX_UNAUTHENTICATED_PER_SITE),
            resuming: FairPermits::new(MAX_RESUMING, MAX_RESUMING_PER_RECEIVER),
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

    /// Returns the permits for streams with unauthenticated peers, by their networks.
    pub(super) fn unauthenticated(&self) -> &FairPermits<SourceTag> {
        &self.unauthenticated
    }

    /// Returns the permits for handshakes of resuming receivers, by the receivers' ids.
    pub(super) fn resuming(&self) -> &FairPermits<[u8; 16]> {
        &self.resuming
    }

    /// Returns the download limit of the share.
    pub(super) fn downloads(&self) -> &DownloadLimit {
        &self.downloads
    }
}
