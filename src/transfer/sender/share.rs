//! A share: what a code stands for, and the sender that answers for it.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use crate::transfer::Events;
use crate::transfer::backoff::{LastConnection, RetriedWork, RetryDriver, Urgency};
use crate::transfer::handshake::guess_budget::GuessBudget;
use crate::transfer::sender::admission;
use crate::transfer::sender::download_limit::{DownloadLimit, DownloadPermit};
use crate::transfer::sender::registration::{Registration, ReregisterConfig};
use crate::transfer::sender::session_table::SessionTable;
use crate::transfer::timeouts::{LEG_SILENT, SHARE_CLOSE};
use crate::transfer::user_errors::cut;
use crate::{
    code::{Code, Secret, Slot},
    crypto::ShareKey,
    disk::Source,
    error::{Error, Kind, Result},
    event::StopReason,
    manifest::ShareId,
    net::{BufferPool, Connection, ConnectionLost, RelayConnection, StreamError},
    sync::Mutex,
    wire::reset_code::ENDED,
};

/// Receivers served at the same time; more are told to come back.
const AT_ONCE: usize = 256;

/// Streams at the same time whose receivers have not proved themselves; more are told to come back.
const STRANGERS: usize = 256;

/// Receivers that come back and have not proved themselves, at the same time: they cost no guess.
const UNPROVED: usize = 16;

/// Each download gets the present state: a scan is offered again only for as long as it took, and no longer than this.
const FRESH: Duration = Duration::from_secs(2);

/// How long a session that gives way may take to do so.
const GIVING_WAY: Duration = Duration::from_secs(2);

/// What a share is to be.
#[derive(Debug, Clone, Default)]
pub struct ShareSettings {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// A name for people, instead of that of the first path.
    pub name: Option<String>,
    /// End after so many complete downloads.
    pub max_downloads: Option<u64>,
    /// End after this time; what runs may finish.
    pub expire: Option<Duration>,
    /// What receivers come back with is made of: one that was kept with the code, or a new one.
    pub key: Option<ShareKey>,
}

/// A share that answers receivers.
pub struct Share {
    settings: ShareSettings,
    id: ShareId,
    /// The code that is good now, and the key that belongs to it.
    code: Mutex<(Code, ShareKey)>,
    budget: GuessBudget,
    events: Events,
    /// For the records of all downloads.
    buffers: BufferPool,
    /// The last scan, and until when it counts as the present state. Locked while another one is made.
    latest: tokio::sync::Mutex<(Arc<Source>, Instant)>,
    places: DownloadLimit,
    retired: watch::Sender<bool>,
    phase: watch::Sender<SharePhase>,
    /// It has ended on purpose.
    is_over: AtomicBool,
    permits: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    unproved: Semaphore,
    /// Bytes that all sessions keep until they are acknowledged.
    kept: Arc<AtomicU64>,
    /// Receivers so far.
    numbers: AtomicU64,
    sessions: Arc<SessionTable>,
}

/// Where receivers find the share.
struct AtRelay {
    registration: Registration,
    /// Keeps the socket of a later connection open.
    connected: Option<RelayConnection>,
}

/// Whether a share takes receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SharePhase {
    /// It does.
    Open,
    /// It does not; what runs may finish.
    Closing,
    /// What runs ends too.
    Ending,
}

impl Share {
    /// A share of what was scanned, under a code.
    pub fn new(settings: ShareSettings, source: Source, code: Code, budget: GuessBudget, events: Events) -> Arc<Self> {
        Arc::new(Self {
            places: DownloadLimit::new(settings.max_downloads),
            id: source.manifest().share(),
            code: Mutex::new((code, settings.key.clone().unwrap_or_else(ShareKey::random))),
            settings,
            budget,
            events,
            buffers: BufferPool::default(),
            latest: tokio::sync::Mutex::new((Arc::new(source), Instant::now())),
            retired: watch::Sender::new(false),
            phase: watch::Sender::new(SharePhase::Open),
            is_over: AtomicBool::new(false),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            unproved: Semaphore::new(UNPROVED),
            kept: Arc::default(),
            numbers: AtomicU64::new(0),
            sessions: Arc::default(),
        })
    }

    /// Answers receivers until the share ends, over one connection after another.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] where `interrupt` completes while a download runs, [`Kind::Refused`] where the code was tried
    /// too often.
    pub async fn run(
        self: &Arc<Self>,
        registration: Registration,
        back: ReregisterConfig,
        interrupt: impl Future<Output = ()>,
    ) -> Result<StopReason> {
        tokio::pin!(interrupt);
        let mut running = JoinSet::new();
        let mut place = AtRelay { registration, connected: None };
        let mut reason = tokio::select! {
            () = self.answer_all(&mut place, &back, &mut running) => Ok(StopReason::Interrupted), // not before it closes
            reason = self.end() => reason,
            () = &mut interrupt => self.interrupted(),
        };
        self.phase.send_replace(SharePhase::Closing);
        let may_finish = match &reason {
            Ok(reason) => *reason != StopReason::Interrupted,
            Err(e) => e.kind() == Kind::Refused, // the code is good no more; who is in has proved to know it
        };
        if may_finish {
            // The slot is given back when nobody needs it to come back any more.
            self.is_over.store(true, Ordering::Relaxed);
            tokio::select! {
                () = self.answer_all(&mut place, &back, &mut running) => {}
                () = &mut interrupt => if self.places.running() > 0 {
                    reason = self.interrupted();
                },
            }
        }
        let AtRelay { mut registration, connected } = place;
        let connection = registration.connection.clone();
        self.phase.send_replace(SharePhase::Ending);
        let turning_away = async {
            // The relay may have opened a stream before it heard of the end.
            while let Ok((mut send, _)) = connection.accept_stream().await {
                send.reset(ENDED);
            }
            std::future::pending().await
        };
        let told = async { tokio::join!(registration.release(), timeout(SHARE_CLOSE, finish(&mut running))) };
        tokio::select! {
            never = turning_away => never,
            _ = told => {}
        }
        if let Some(connected) = connected {
            RelayConnection::close(connected).await;
        }
        reason
    }

    /// Answers receivers over one connection after another, until the share closes and nobody is left.
    async fn answer_all(self: &Arc<Self>, place: &mut AtRelay, back: &ReregisterConfig, running: &mut JoinSet<()>) {
        let mut tries = RetryDriver::new(back.dialer.clone(), self.events.clone(), Urgency::Idle);
        while let Some(lost) = self.answer(&place.registration.connection, running).await {
            place.registration.connection.close();
            let ticket = place.registration.ticket().to_vec();
            tokio::select! {
                back = self.come_back(back, &mut tries, ticket, lost) => *place = back,
                () = self.is_deserted(running) => return,
            }
        }
    }

    /// Completes when the share closes and nobody is left.
    async fn is_deserted(&self, running: &mut JoinSet<()>) {
        self.closing().await;
        finish(running).await;
    }

    /// Serves each stream that the relay opens, until the connection is lost, or the share closes and nobody is left. While
    /// a session lives, a line that is silent counts as lost.
    async fn answer(self: &Arc<Self>, connection: &Connection, running: &mut JoinSet<()>) -> Option<ConnectionLost> {
        let silent = async {
            loop {
                let lost = connection.wait_until_silent(LEG_SILENT).await;
                if connection.is_closed() || !self.sessions.is_empty() {
                    return lost;
                }
            }
        };
        tokio::pin!(silent);
        while !(self.is_closing() && running.is_empty()) {
            let stream = tokio::select! {
                stream = connection.accept_stream() => stream,
                Some(_) = running.join_next() => continue,
                lost = &mut silent => return Some(lost),
            };
            let stream = match stream {
                Ok(stream) => stream,
                Err(StreamError::Lost(lost)) => return Some(lost),
                Err(_) => return Some(ConnectionLost::TimedOut), // streams are accepted or the connection is lost
            };
            let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
            running.spawn(admission::open(Arc::clone(self), number, stream));
        }
        None
    }

    /// Tries until the share has its slot again.
    async fn come_back(
        &self,
        back: &ReregisterConfig,
        tries: &mut RetryDriver,
        ticket: Vec<u8>,
        lost: ConnectionLost,
    ) -> AtRelay {
        let mut reregistration = Reregistration { share: self, config: back, ticket };
        tries.set_urgency(reregistration.urgency());
        tries.begin_outage(LastConnection::MadeNoProgress).await;
        tries.run(cut(&lost.into()), &mut reregistration).await
    }

    /// The relay has given this slot. Another one than before makes another code: the old one may lead to somebody else.
    fn take_slot(&self, slot: Slot) {
        let mut now = self.lock_code();
        if now.0.slot() != slot
            && let Ok(secret) = Secret::random(now.0.secret().length())
        {
            *now = (Code::new(slot, secret), ShareKey::random());
        }
    }

    /// Completes when the share has served what it allows, its time is up, or its code is no good any more.
    pub(crate) async fn end(&self) -> Result<StopReason> {
        let expired = async {
            match self.settings.expire {
                Some(time) => self.time_passes(time).await,
                None => std::future::pending().await,
            }
        };
        let mut retired = self.retired.subscribe();
        tokio::select! {
            () = self.places.all_done() => {
                Ok(if self.settings.max_downloads == Some(1) { StopReason::Once } else { StopReason::MaxDownloads })
            }
            () = expired => Ok(StopReason::Expired),
            _ = retired.wait_for(|retired| *retired) => {
                Err(Error::new(Kind::Refused, "the code was tried wrongly too often and is good no more")
                    .hint("share again for a new code; --code-length 8 makes guessing hopeless"))
            }
        }
    }

    /// Completes after this time, which also passes while the machine sleeps.
    async fn time_passes(&self, time: Duration) {
        /// The monotonic clock stands still while a machine sleeps (CLOCK_MONOTONIC of Linux): that of the day is looked at.
        const LOOK_EVERY: Duration = Duration::from_secs(30);
        let until = Instant::now() + time;
        let until_ms = self.budget.now_ms().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        while Instant::now() < until && self.budget.now_ms() < until_ms {
            sleep_until(until.min(Instant::now() + LOOK_EVERY)).await;
        }
    }

    fn interrupted(&self) -> Result<StopReason> {
        match self.places.running() {
            0 => Ok(StopReason::Interrupted),
            n => {
                let downloads = crate::text::count(n, "download");
                Err(Error::new(Kind::Interrupted, format!("stopped with {downloads} running"))
                    .hint("share the same again, and they go on with the same code"))
            }
        }
    }

    /// What is shared, as it is now.
    pub(crate) async fn source(&self) -> Result<Arc<Source>> {
        let mut latest = self.latest.lock().await;
        let (before, good_until) = &*latest;
        if Instant::now() < *good_until {
            return Ok(Arc::clone(before));
        }
        let (before, name, began) = (Arc::clone(before), self.settings.name.clone(), Instant::now());
        let scanned = spawn_blocking(move || before.rescan(name.as_deref())).await;
        let source = Arc::new(scanned.map_err(|e| Error::new(Kind::Transfer, e.to_string()))??);
        // So that who comes again and again keeps the disk busy for half of the time at the most.
        let good_for = began.elapsed().min(FRESH);
        *latest = (Arc::clone(&source), Instant::now() + good_for);
        Ok(source)
    }

    /// A file was not as it was scanned: the next receiver gets a scan of its own.
    pub(crate) async fn has_changed(&self) {
        self.latest.lock().await.1 = Instant::now();
    }

    /// Takes one of the downloads that the share allows; `None` when none is free. One whose receiver has been away for
    /// long gives way; one that is the same receiver's, before it came back, is about to.
    pub(crate) async fn take_place(&self, has_come_back: bool) -> Option<DownloadPermit> {
        if self.is_closing() && !has_come_back {
            return None;
        }
        match self.places.take() {
            None if has_come_back || self.sessions.make_room(true) => {
                timeout(GIVING_WAY, self.places.next_free()).await.ok()
            }
            taken => taken,
        }
    }

    /// Takes one of the sessions that this process has at a time; `None` when none is free. As with places, one that has been
    /// away for long gives way, and the older one of who has come back.
    pub(crate) async fn permit(&self, has_come_back: bool) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) if has_come_back || self.sessions.make_room(false) => {
                timeout(GIVING_WAY, Arc::clone(&self.permits).acquire_owned()).await.ok()?.ok()
            }
            Err(_) => None,
        }
    }

    /// Takes one of the streams whose receivers have not proved themselves; `None` when none is free.
    pub(crate) fn stranger(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.strangers).try_acquire_owned().ok()
    }

    /// Ends the share if its code was tried too often.
    pub(crate) fn check_retired(&self) {
        if self.budget.is_retired() {
            self.retired.send_replace(true);
        }
    }

    /// Completes when no receiver can accept any more.
    pub(crate) async fn closing(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase != SharePhase::Open).await; // the channel lives in the share
    }

    /// Whether it has served what it allows, its time is up, or its code is no good any more: nobody comes back to it, though
    /// its last downloads may have been stopped.
    pub fn has_ended(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether no receiver can accept any more.
    pub(crate) fn is_closing(&self) -> bool {
        *self.phase.borrow() != SharePhase::Open
    }

    /// Bytes that all sessions keep until they are acknowledged.
    pub(crate) fn kept(&self) -> &Arc<AtomicU64> {
        &self.kept
    }

    /// Completes when running downloads must end too.
    pub(crate) async fn ending(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == SharePhase::Ending).await;
    }

    /// The code that is good now, and the key that belongs to it.
    pub(crate) fn code(&self) -> (Code, ShareKey) {
        self.lock_code().clone()
    }

    pub(crate) fn id(&self) -> ShareId {
        self.id
    }

    /// For receivers that come back and have not proved themselves yet.
    pub(crate) fn unproved(&self) -> &Semaphore {
        &self.unproved
    }

    pub(crate) fn sessions(&self) -> &Arc<SessionTable> {
        &self.sessions
    }

    pub(crate) fn budget(&self) -> &GuessBudget {
        &self.budget
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn buffers(&self) -> BufferPool {
        self.buffers.clone()
    }

    fn lock_code(&self) -> MutexGuard<'_, (Code, ShareKey)> {
        self.code.lock()
    }
}

async fn finish(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

/// The attempts to register a share again after its connection to the relay was lost.
struct Reregistration<'a> {
    share: &'a Share,
    config: &'a ReregisterConfig,
    ticket: Vec<u8>,
}

impl RetriedWork for Reregistration<'_> {
    type Output = AtRelay;

    fn urgency(&self) -> Urgency {
        if self.share.sessions.is_empty() { Urgency::Idle } else { Urgency::Busy }
    }

    async fn attempt(&mut self, driver: &mut RetryDriver) -> ControlFlow<AtRelay, Error> {
        let connected = driver.connect(|| self.urgency()).await;
        let ticket = Some(self.ticket.clone()).filter(|ticket| !ticket.is_empty());
        let Self { share, config, .. } = self;
        match Registration::request(connected.connection.clone(), config.token.clone(), ticket).await {
            Ok(registration) => {
                share.take_slot(registration.slot());
                driver.note_success();
                let (code, key) = share.code();
                for event in (config.on_registered)(&code, &key, registration.ticket()) {
                    share.events.report(event).await;
                }
                ControlFlow::Break(AtRelay { registration, connected: Some(connected) })
            }
            Err(e) => ControlFlow::Continue(e),
        }
    }
}
