//! A share: what a code stands for, and the sender that answers for it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use super::{
    Events,
    ask::ask,
    budget::Budget,
    failure::cut,
    handshake::turn_away,
    places::{Place, Places},
    serve::serve,
};
use crate::{
    code::{Code, Slot},
    disk::{Readings, Source},
    error::{Error, Kind, Result},
    event::StopReason,
    manifest::ShareId,
    net::{Buffers, Connection, RecvHalf, SendHalf},
    wire::relay::{Register, Registered, code::ENDED},
};

/// Receivers served at the same time; more are told to come back.
const AT_ONCE: usize = 256;

/// A scan this young is offered as it is; an older one is made anew, so that each download gets the present state.
const FRESH: Duration = Duration::from_secs(2);

/// How long an end waits for the receivers to be told.
const GOODBYE: Duration = Duration::from_secs(2);

/// A slot at a relay, held by the stream that asked for it.
pub struct Registration {
    connection: Connection,
    send: SendHalf,
    /// Kept open: the relay frees the slot when it ends.
    recv: RecvHalf,
    slot: Slot,
}

impl Registration {
    /// Asks a relay for a slot.
    ///
    /// # Errors
    /// [`Kind::Refused`] where the relay says no, [`Kind::Network`] where it does not answer.
    pub async fn ask(connection: Connection, token: Option<Vec<u8>>) -> Result<Self> {
        let (send, recv, Registered { slot, .. }) = ask(&connection, &Register { token, ticket: None }, &[]).await?;
        Ok(Self { connection, send, recv, slot })
    }

    /// The slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Gives the slot back; what runs goes on.
    async fn end(&mut self) {
        self.send.finish();
        let _ = timeout(GOODBYE, self.recv.read()).await;
    }
}

/// What a share is to be.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// A name for people, instead of that of the first path.
    pub name: Option<String>,
    /// End after so many complete downloads.
    pub max_downloads: Option<u64>,
    /// End after this time; what runs may finish.
    pub expire: Option<Duration>,
}

/// A share that answers receivers.
pub struct Share {
    settings: Settings,
    id: ShareId,
    code: Code,
    budget: Budget,
    events: Events,
    /// For the records of all downloads.
    buffers: Buffers,
    /// Files that several downloads read at the same time, whichever scan they know them by.
    readings: Readings,
    /// The last scan and when it was made; none where it is known to be out of date.
    latest: Mutex<Option<(Arc<Source>, Instant)>>,
    places: Places,
    retired: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
    sessions: Semaphore,
}

/// Whether a share takes receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It does.
    Open,
    /// It does not; what runs may finish.
    Closing,
    /// What runs ends too.
    Ending,
}

impl Share {
    /// A share of what was scanned, under a code.
    pub fn new(settings: Settings, source: Source, code: Code, budget: Budget, events: Events) -> Arc<Self> {
        Arc::new(Self {
            places: Places::new(settings.max_downloads),
            settings,
            id: source.manifest().share(),
            code,
            budget,
            events,
            buffers: Buffers::default(),
            readings: source.readings(),
            latest: Mutex::new(Some((Arc::new(source), Instant::now()))),
            retired: watch::Sender::new(false),
            phase: watch::Sender::new(Phase::Open),
            sessions: Semaphore::new(AT_ONCE),
        })
    }

    /// Answers receivers until the share ends.
    ///
    /// # Errors
    /// [`Kind::Network`] where the connection to the relay is lost, [`Kind::Interrupted`] where `interrupt` completes
    /// while a download runs, [`Kind::Refused`] where the code was tried too often.
    pub async fn run(
        self: &Arc<Self>,
        mut registration: Registration,
        interrupt: impl Future<Output = ()>,
    ) -> Result<StopReason> {
        tokio::pin!(interrupt);
        let mut running = JoinSet::new();
        let reason = tokio::select! {
            lost = self.answer(&registration.connection, &mut running) => Err(lost),
            reason = self.end() => reason,
            () = &mut interrupt => self.interrupted(),
        };
        registration.end().await;
        self.phase.send_replace(Phase::Closing);
        let connection = registration.connection.clone();
        let turning_away = async {
            // The relay may have opened a stream before it heard of the end.
            while let Ok((mut send, _)) = connection.accept().await {
                send.reset(ENDED);
            }
            std::future::pending().await
        };
        let reason = match reason {
            Ok(reason) if reason != StopReason::Interrupted => tokio::select! {
                never = turning_away => never,
                () = finish(&mut running) => return Ok(reason),
                () = &mut interrupt => self.interrupted(),
            },
            other => other,
        };
        self.phase.send_replace(Phase::Ending);
        let _ = timeout(GOODBYE, finish(&mut running)).await;
        reason
    }

    /// Serves each stream that the relay opens, until the connection is lost.
    async fn answer(self: &Arc<Self>, connection: &Connection, running: &mut JoinSet<()>) -> Error {
        let mut number = 0;
        loop {
            let stream = tokio::select! {
                stream = connection.accept() => stream,
                Some(_) = running.join_next() => continue,
            };
            let stream = match stream {
                Ok(stream) => stream,
                Err(e) => return cut(&e),
            };
            number += 1;
            let share = Arc::clone(self);
            running.spawn(async move {
                let Ok(_permit) = share.sessions.try_acquire() else { return turn_away(stream.0).await };
                serve(Arc::clone(&share), number, stream).await;
            });
        }
    }

    /// Completes when the share has served what it allows, its time is up, or its code is no good any more.
    async fn end(&self) -> Result<StopReason> {
        let expired = async {
            match self.settings.expire {
                Some(time) => sleep(time).await,
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

    fn interrupted(&self) -> Result<StopReason> {
        match self.places.running() {
            0 => Ok(StopReason::Interrupted),
            n => {
                let downloads = crate::text::count(n, "download");
                Err(Error::new(Kind::Interrupted, format!("stopped with {downloads} running")))
            }
        }
    }

    /// What is shared, as it is now.
    pub(super) async fn source(&self) -> Result<Arc<Source>> {
        if let Some((source, at)) = &*self.lock_latest()
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(source));
        }
        let (paths, name, id) = (self.settings.paths.clone(), self.settings.name.clone(), self.id);
        let scanned = spawn_blocking(move || Source::scan(&paths, name.as_deref(), id)).await;
        let scanned = scanned.map_err(|e| Error::new(Kind::Transfer, e.to_string()))??;
        let source = Arc::new(scanned.reading_with(self.readings.clone()));
        *self.lock_latest() = Some((Arc::clone(&source), Instant::now()));
        Ok(source)
    }

    /// A file was not as it was scanned: the next receiver gets a scan of its own.
    pub(super) fn has_changed(&self) {
        *self.lock_latest() = None;
    }

    /// Takes one of the downloads that the share allows; `None` when none is free.
    pub(super) fn take_place(&self) -> Option<Place> {
        if *self.phase.borrow() == Phase::Open { self.places.take() } else { None }
    }

    /// Ends the share if its code was tried too often.
    pub(super) fn check_retired(&self) {
        if self.budget.is_retired() {
            self.retired.send_replace(true);
        }
    }

    /// Completes when no receiver can accept any more.
    pub(super) async fn closing(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Open).await; // the channel lives in the share
    }

    /// Completes when running downloads must end too.
    pub(super) async fn ending(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Ending).await;
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    pub(super) fn buffers(&self) -> Buffers {
        self.buffers.clone()
    }

    fn lock_latest(&self) -> MutexGuard<'_, Option<(Arc<Source>, Instant)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn finish(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}
