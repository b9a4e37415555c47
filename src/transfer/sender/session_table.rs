//! The proved sessions of a share, while their processes live: each outlives its streams.

use std::{
    collections::HashMap,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::transfer::handshake::Established;
use crate::transfer::session::resumable_stream::ResumableStream;
use crate::{
    crypto::AttachKey,
    net::{ConnectionLost, RecvHalf, SendHalf, StreamError},
    sync::Mutex,
    wire::peer::{AttachReply, AttachRequest},
};

/// How long a session waits for another stream.
const OUTLIVES: Duration = Duration::from_secs(10 * 60);

/// A session that has waited for so long gives way to a receiver who is there.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(10);

/// All of them, by what they are called.
#[derive(Default)]
pub(crate) struct SessionTable(Mutex<HashMap<[u8; 16], Arc<LiveSession>>>);

/// One of them.
struct LiveSession {
    carrier: ResumableStream,
    attaching: AttachKey,
    /// The highest number of a question that was answered.
    number: Mutex<u64>,
    broken_since: Mutex<Option<Instant>>,
    /// Another receiver wants its place, until it has a stream again.
    gives_way: watch::Sender<bool>,
    /// Whether it has one of the downloads that the share allows.
    has_place: AtomicBool,
    /// What its receiver comes back with is called.
    receiver: [u8; 16],
}

impl SessionTable {
    /// Takes a session in, until what this gives is dropped. It outlives its stream where its receiver comes back.
    /// The receiver is called this; an older session of the same one is over.
    pub(crate) fn enter(self: &Arc<Self>, session: &Established, receiver: [u8; 16]) -> SessionEntry {
        if session.returns {
            session.carrier.outlive();
        }
        let live = Arc::new(LiveSession {
            carrier: session.carrier.clone(),
            attaching: session.attaching.clone(),
            number: Mutex::new(0),
            broken_since: Mutex::new(None),
            gives_way: watch::Sender::new(false),
            has_place: AtomicBool::new(false),
            receiver,
        });
        for older in self.lock().values().filter(|older| older.receiver == receiver) {
            older.carrier.breaks(StreamError::Lost(ConnectionLost::ClosedLocally));
            older.gives_way.send_replace(true);
        }
        self.lock().insert(live.attaching.id(), Arc::clone(&live));
        SessionEntry { sessions: Arc::clone(self), live }
    }

    /// Goes on with a session over this stream; gives the stream back where there is no such session, or it is not its
    /// receiver who asks.
    pub(crate) async fn attach(
        &self,
        question: &AttachRequest,
        (mut send, recv): (SendHalf, RecvHalf),
    ) -> Result<(), SendHalf> {
        let live = self.lock().get(&question.id).cloned();
        let Some((live, answer)) = live.and_then(|live| live.answer(question).map(|answer| (live, answer))) else {
            return Err(send);
        };
        if send.send_message(&answer).await.is_ok() {
            let number = live.lock_number();
            if *number == question.number {
                let _ = live.carrier.attach(send, recv, question.received, answer.received); // it was possible just now
            }
        }
        Ok(())
    }

    /// Ends the session that has waited longest for another stream, one with a place where a place is wanted; `false` where
    /// none has for long.
    pub(crate) fn make_room(&self, of_a_place: bool) -> bool {
        let sessions = self.lock();
        let counts = |live: &&Arc<LiveSession>| !of_a_place || live.has_place.load(Ordering::Relaxed);
        let waiting = sessions.values().filter(counts);
        let waiting = waiting.filter_map(|live| live.broken_since().map(|since| (since, live)));
        let longest = waiting.min_by_key(|(since, _)| *since).filter(|(since, _)| since.elapsed() >= GIVES_WAY_AFTER);
        longest.map(|(_, live)| live.gives_way.send_replace(true)).is_some()
    }

    /// Whether there is one of the receiver that is called this.
    pub(crate) fn is_of(&self, receiver: &[u8; 16]) -> bool {
        self.lock().values().any(|live| live.receiver == *receiver)
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<LiveSession>>> {
        self.0.lock()
    }
}

impl LiveSession {
    /// The answer to a question that is the receiver's, new, and possible.
    fn answer(&self, question: &AttachRequest) -> Option<AttachReply> {
        self.attaching.verify_question(question.number, question.received, &question.tag).ok()?;
        let mut number = self.lock_number();
        if question.number <= *number || !self.carrier.is_possible(question.received) {
            return None;
        }
        *number = question.number;
        let received = self.carrier.received();
        Some(AttachReply { received, tag: self.attaching.answer(&question.tag, received) })
    }

    fn lock_number(&self) -> MutexGuard<'_, u64> {
        self.number.lock()
    }

    fn broken_since(&self) -> Option<Instant> {
        *self.broken_since.lock()
    }

    fn set_broken(&self, since: Option<Instant>) {
        *self.broken_since.lock() = since;
    }
}

/// A session that is in.
pub(crate) struct SessionEntry {
    sessions: Arc<SessionTable>,
    live: Arc<LiveSession>,
}

impl SessionEntry {
    /// The session has one of the downloads that the share allows.
    pub(crate) fn has_place(&self) {
        self.live.has_place.store(true, Ordering::Relaxed);
    }

    /// Completes when the session has waited for another stream for too long, with the reason why it must; tells each
    /// time when it begins to wait, and when that is over.
    pub(crate) async fn abandoned(&self, waits: impl Fn(&StreamError), is_back: impl Fn(&StreamError)) -> StreamError {
        loop {
            let why = self.live.carrier.broken().await;
            if self.live.carrier.is_over() {
                return std::future::pending().await; // who reads has the reason
            }
            waits(&why);
            self.live.set_broken(Some(Instant::now()));
            let mut given_way = self.live.gives_way.subscribe();
            let gives_way = async { drop(given_way.wait_for(|gives_way| *gives_way).await) }; // its sender lives in here
            tokio::select! {
                biased;
                () = self.live.carrier.mended() => {
                    self.live.set_broken(None);
                    self.live.gives_way.send_replace(false);
                    is_back(&why);
                }
                () = gives_way => return why,
                () = sleep(OUTLIVES) => return why,
            }
        }
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.live.attaching.id());
    }
}
