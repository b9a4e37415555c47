//! The state that all connections and downloads of one share have in common.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    capacity::{Capacity, SessionOrigin},
    compression_mode::CompressionMode,
    credentials::ShareCredentials,
    download_limit::DownloadPermit,
    expiry::wait_until_expired,
    latest_scan::LatestScan,
    pipe_use::PipeUse,
    pressure_gauge::PressureGauge,
    repeated_warning::RepeatedWarning,
    session_table::SessionTable,
    share_end::ShareEnd,
};
use crate::{
    code::{Code, Slot},
    crypto::ShareKey,
    disk::Source,
    event::Events,
    manifest::ShareId,
    net::BufferPool,
    sync::Mutex,
    transfer::handshake::guess_budget::GuessBudget,
};

/// The settings of a share.
#[derive(Debug, Clone, Default)]
pub struct ShareSettings {
    /// Ends the share after this many complete downloads.
    pub max_downloads: Option<u64>,
    /// Ends the share after this time; running downloads may finish.
    pub expire: Option<Duration>,
    /// When content is compressed.
    pub compression: CompressionMode,
    /// The key from which resumption grants are derived: the one stored with a reused code, or `None` for a new one.
    pub key: Option<ShareKey>,
}

/// The files and folders behind one code. [`Share::run`] serves them.
pub struct Share {
    id: ShareId,
    settings: ShareSettings,
    credentials: watch::Sender<ShareCredentials>,
    guess_budget: GuessBudget,
    events: Events,
    /// Buffers for the records of all downloads.
    buffers: BufferPool,
    scan: LatestScan,
    pressure: PressureGauge,
    /// The shared files are unreadable.
    unreadable: RepeatedWarning,
    /// The guess budget cannot be saved.
    unsaved_budget: RepeatedWarning,
    capacity: Capacity,
    sessions: Arc<SessionTable>,
    phase: watch::Sender<SharePhase>,
    is_code_retired: watch::Sender<bool>,
    has_ended: AtomicBool,
    /// Sealed bytes that all sessions store until they are acknowledged.
    unacknowledged: Arc<AtomicU64>,
    /// Sealed bytes of all downloads.
    sent: AtomicU64,
    /// The number of the latest receiver.
    last_receiver: AtomicU64,
    /// The use of the pipe, if the share is one.
    pipe: Option<PipeUse>,
    /// The ids of receivers that lack files which could not be sent.
    incomplete: Mutex<HashSet<[u8; 16]>>,
}

/// Which downloads may start and continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SharePhase {
    /// Receivers may start downloads.
    Open,
    /// No download starts; running downloads may finish.
    Closing,
    /// Running downloads end too.
    Ending,
}

impl Share {
    /// Creates a share of the scanned `source` under `code`.
    pub fn new(
        settings: ShareSettings,
        mut source: Source,
        code: Code,
        guess_budget: GuessBudget,
        events: Events,
    ) -> Arc<Self> {
        let sessions = Arc::<SessionTable>::default();
        let key = settings.key.clone().unwrap_or_else(ShareKey::random);
        let pipe = source.take_pipe().map(|(pipe, path)| PipeUse::new(pipe, path));
        let max_downloads = if pipe.is_some() { Some(1) } else { settings.max_downloads };
        Arc::new(Self {
            id: source.manifest().share(),
            credentials: watch::Sender::new(ShareCredentials { code, key }),
            guess_budget,
            events,
            buffers: BufferPool::default(),
            scan: LatestScan::new(source),
            pressure: PressureGauge::new(),
            unreadable: RepeatedWarning::default(),
            unsaved_budget: RepeatedWarning::default(),
            capacity: Capacity::new(max_downloads, Arc::clone(&sessions)),
            sessions,
            phase: watch::Sender::new(SharePhase::Open),
            is_code_retired: watch::Sender::new(false),
            has_ended: AtomicBool::new(false),
            unacknowledged: Arc::default(),
            sent: AtomicU64::new(0),
            last_receiver: AtomicU64::new(0),
            pipe,
            incomplete: Mutex::default(),
            settings,
        })
    }

    /// Waits until the download limit is reached, the lifetime has passed, the code is retired or the pipe is lost.
    pub(super) async fn wait_for_end(&self) -> ShareEnd {
        let expired = async {
            match self.settings.expire {
                Some(lifetime) => wait_until_expired(lifetime, || self.guess_budget.now_ms()).await,
                None => std::future::pending().await,
            }
        };
        let pipe_lost = async {
            match &self.pipe {
                Some(pipe) => pipe.wait_until_lost().await,
                None => std::future::pending().await,
            }
        };
        let mut is_code_retired = self.is_code_retired.subscribe();
        tokio::select! {
            () = pipe_lost => ShareEnd::PipeLost,
            max_downloads = self.capacity.downloads().wait_until_reached() => ShareEnd::LimitReached { max_downloads },
            () = expired => ShareEnd::Expired,
            _ = is_code_retired.wait_for(|is_retired| *is_retired) => ShareEnd::CodeRetired,
        }
    }

    /// Returns the end of a share that is interrupted now.
    pub(super) fn interrupted(&self) -> ShareEnd {
        ShareEnd::Interrupted { running: self.capacity.downloads().running(), is_pipe: self.pipe.is_some() }
    }

    /// Stops new downloads; running downloads may finish.
    pub(super) fn begin_closing(&self) {
        self.phase.send_replace(SharePhase::Closing);
    }

    /// Ends running downloads too.
    pub(super) fn begin_ending(&self) {
        self.phase.send_replace(SharePhase::Ending);
    }

    /// Whether new downloads are refused.
    pub(super) fn is_closing(&self) -> bool {
        *self.phase.borrow() != SharePhase::Open
    }

    /// Waits until new downloads are refused.
    pub(super) async fn wait_until_closing(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.phase.subscribe().wait_for(|phase| *phase != SharePhase::Open).await;
    }

    /// Waits until running downloads must end too.
    pub(super) async fn wait_until_ending(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == SharePhase::Ending).await;
    }

    /// Records that the share has ended and cannot be resumed.
    pub(super) fn set_ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// Whether the share has ended and cannot be resumed: its download limit is reached, its lifetime has passed or its
    /// code is retired. This does not change if its last downloads are interrupted.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Records that a receiver has everything.
    pub(super) fn note_complete(&self, receiver: [u8; 16]) {
        self.incomplete.lock().remove(&receiver);
    }

    /// Records that a receiver lacks files which could not be sent. It gets them if it repeats its command.
    pub(super) fn note_incomplete(&self, receiver: [u8; 16]) {
        self.incomplete.lock().insert(receiver);
    }

    /// Returns the number of receivers that lack files.
    pub(super) fn incomplete_downloads(&self) -> u64 {
        self.incomplete.lock().len() as u64
    }

    /// Ends the share if its code was guessed wrongly too often.
    pub(super) fn check_code_retired(&self) {
        if self.guess_budget.is_retired() {
            self.is_code_retired.send_replace(true);
        }
    }

    /// Takes a download permit. Returns `None` when none is free, and for a new receiver when the share is closing.
    pub(super) async fn acquire_download(&self, origin: SessionOrigin) -> Option<DownloadPermit> {
        if self.is_closing() && origin == SessionOrigin::Code {
            return None;
        }
        self.capacity.acquire_download(origin).await
    }

    /// Follows the slot that the relay has assigned: see [`ShareCredentials::adopt_slot`].
    pub(super) fn adopt_slot(&self, slot: Slot) {
        self.credentials.send_if_modified(|credentials| credentials.adopt_slot(slot));
    }

    /// Returns the current code and key.
    pub(super) fn credentials(&self) -> ShareCredentials {
        self.credentials.borrow().clone()
    }

    /// Waits until the share has another slot than `slot`, and returns it.
    pub(super) async fn wait_for_other_slot(&self, slot: Slot) -> Slot {
        let mut credentials = self.credentials.subscribe();
        // Cannot fail: `self` owns the sender.
        let changed = credentials.wait_for(|credentials| credentials.code.slot() != slot).await;
        changed.map_or(slot, |credentials| credentials.code.slot())
    }

    /// Returns the number of the next receiver, from 1 on.
    pub(super) fn next_receiver(&self) -> u64 {
        self.last_receiver.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts the sealed bytes that a download sends. Returns those of all downloads so far.
    pub(super) fn count_sent(&self, sealed: u64) -> u64 {
        self.sent.fetch_add(sealed, Ordering::Relaxed) + sealed
    }

    pub(super) fn id(&self) -> ShareId {
        self.id
    }

    /// Returns the use of the pipe, if the share is one.
    pub(super) fn pipe(&self) -> Option<&PipeUse> {
        self.pipe.as_ref()
    }

    pub(super) fn scan(&self) -> &LatestScan {
        &self.scan
    }

    pub(super) fn pressure(&self) -> &PressureGauge {
        &self.pressure
    }

    /// Returns the warning that the shared files are unreadable.
    pub(super) fn unreadable(&self) -> &RepeatedWarning {
        &self.unreadable
    }

    /// Returns the warning that the guess budget cannot be saved.
    pub(super) fn unsaved_budget(&self) -> &RepeatedWarning {
        &self.unsaved_budget
    }

    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    pub(super) fn sessions(&self) -> &Arc<SessionTable> {
        &self.sessions
    }

    pub(super) fn guess_budget(&self) -> &GuessBudget {
        &self.guess_budget
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Returns when content is compressed.
    pub(super) fn compression(&self) -> CompressionMode {
        self.settings.compression
    }

    pub(super) fn buffers(&self) -> BufferPool {
        self.buffers.clone()
    }

    /// Returns the count of sealed bytes that all sessions store until they are acknowledged.
    pub(super) fn unacknowledged(&self) -> &Arc<AtomicU64> {
        &self.unacknowledged
    }
}
