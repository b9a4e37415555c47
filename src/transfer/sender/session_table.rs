//! The table of a share's live sessions, through which a receiver reattaches to its session.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    crypto::AttachKey,
    net::{ConnectionLost, RecvHalf, SendHalf, StreamError, wait_on_peer},
    route::Route,
    sync::Mutex,
    transfer::{handshake::Established, session::resumable_stream::ResumableStream, timeouts::REPLY_TIMEOUT},
    wire::peer::{AttachReply, AttachRequest},
};

/// How long a session waits for another stream.
const REATTACH_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A session that has waited this long for another stream may be evicted for a connected receiver.
const EVICT_AFTER: Duration = Duration::from_secs(10);

/// The live sessions, by the id in an [`AttachRequest`].
#[derive(Default)]
pub(crate) struct SessionTable(Mutex<HashMap<[u8; 16], Arc<LiveSession>>>);

struct LiveSession {
    stream: ResumableStream,
    attach_key: AttachKey,
    /// The highest number of an accepted [`AttachRequest`].
    last_request: Mutex<u64>,
    disconnected_since: Mutex<Option<Instant>>,
    /// Whether the session must end because another one needs its permit. Reset when the session is reattached.
    is_evicted: watch::Sender<bool>,
    holds_download: AtomicBool,
    /// The route of the current stream.
    route: Mutex<Route>,
    /// The id of the receiver's resumption grant.
    receiver: [u8; 16],
}

/// Which sessions may be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EvictionScope {
    /// All sessions.
    All,
    /// Only sessions that hold a download permit.
    WithDownload,
}

impl SessionTable {
    /// Adds an authenticated session. The older sessions of the same receiver are ended.
    pub(super) fn insert(self: &Arc<Self>, session: &Established, receiver: [u8; 16], route: Route) -> SessionEntry {
        if session.can_reattach {
            session.stream.enable_reattach();
        }
        let live = Arc::new(LiveSession {
            stream: session.stream.clone(),
            attach_key: session.attach_key.clone(),
            last_request: Mutex::new(0),
            disconnected_since: Mutex::new(None),
            is_evicted: watch::Sender::new(false),
            holds_download: AtomicBool::new(false),
            route: Mutex::new(route),
            receiver,
        });
        let mut sessions = self.0.lock();
        for older in sessions.values().filter(|older| older.receiver == receiver) {
            older.stream.mark_broken(StreamError::Lost(ConnectionLost::ClosedLocally));
            older.is_evicted.send_replace(true);
        }
        sessions.insert(live.attach_key.id(), Arc::clone(&live));
        SessionEntry { table: Arc::clone(self), session: live }
    }

    /// Moves a session to another stream, on this route.
    ///
    /// # Errors
    /// Returns the stream if there is no such session, or the request is not valid for it.
    pub(super) async fn attach(
        &self,
        request: &AttachRequest,
        route: Route,
        (mut send, mut recv): (SendHalf, RecvHalf),
    ) -> Result<(), SendHalf> {
        let session = self.0.lock().get(&request.id).cloned();
        let Some((session, reply)) = session.and_then(|s| s.accept_request(request).map(|reply| (s, reply))) else {
            return Err(send);
        };
        // This bounds the time for which a peer that does not read its reply holds the stream.
        if wait_on_peer(REPLY_TIMEOUT, [&mut recv], send.send_message(&reply)).await.is_ok() {
            let last_request = session.last_request.lock();
            if *last_request == request.number {
                *session.route.lock() = route;
                // Fails only if the receiver has acknowledged more than it requests: `accept_request` has checked the
                // rest.
                let _ = session.stream.attach(send, recv, request.received, reply.received);
            }
        }
        Ok(())
    }

    /// Evicts the session that has waited longest for another stream. Returns `false` if none has waited for
    /// [`EVICT_AFTER`].
    pub(super) fn evict(&self, scope: EvictionScope) -> bool {
        let sessions = self.0.lock();
        let is_in_scope =
            |session: &&Arc<LiveSession>| scope == EvictionScope::All || session.holds_download.load(Ordering::Relaxed);
        let waiting = sessions.values().filter(is_in_scope);
        let waiting = waiting.filter_map(|session| session.disconnected_since().map(|since| (since, session)));
        match waiting.min_by_key(|(since, _)| *since) {
            Some((since, session)) if since.elapsed() >= EVICT_AFTER => {
                session.is_evicted.send_replace(true);
                true
            }
            _ => false,
        }
    }

    /// Whether a session of the receiver with this id exists.
    pub(super) fn has_receiver(&self, receiver: &[u8; 16]) -> bool {
        self.0.lock().values().any(|session| session.receiver == *receiver)
    }

    /// Whether no session exists.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl LiveSession {
    /// Returns the reply to a request that is authentic and new, and whose offset is possible.
    fn accept_request(&self, request: &AttachRequest) -> Option<AttachReply> {
        self.attach_key.verify_request(request.number, request.received, &request.tag).ok()?;
        let mut last_request = self.last_request.lock();
        if request.number <= *last_request || !self.stream.can_resend_from(request.received) {
            return None;
        }
        *last_request = request.number;
        let received = self.stream.received_bytes();
        Some(AttachReply { received, tag: self.attach_key.reply_tag(&request.tag, received) })
    }

    fn disconnected_since(&self) -> Option<Instant> {
        *self.disconnected_since.lock()
    }

    fn set_disconnected(&self, since: Option<Instant>) {
        *self.disconnected_since.lock() = since;
    }
}

/// The place of a session in the table. Dropping it removes the session.
pub(super) struct SessionEntry {
    table: Arc<SessionTable>,
    session: Arc<LiveSession>,
}

impl SessionEntry {
    /// Records that the session holds a download permit.
    pub(super) fn mark_downloading(&self) {
        self.session.holds_download.store(true, Ordering::Relaxed);
    }

    /// Waits until the session is evicted or has waited too long for another stream, and returns why it lost its
    /// stream. Calls `on_waiting` and `on_reattached` each time a wait begins and ends.
    /// The latter gets the route of the new stream.
    pub(super) async fn wait_until_abandoned(
        &self,
        on_waiting: impl Fn(&StreamError),
        on_reattached: impl Fn(&StreamError, Route),
    ) -> StreamError {
        let session = &self.session;
        loop {
            let lost = session.stream.wait_until_broken().await;
            if session.stream.is_closed() {
                return std::future::pending().await; // the reading side reports the reason
            }
            on_waiting(&lost);
            session.set_disconnected(Some(Instant::now()));
            let mut is_evicted = session.is_evicted.subscribe();
            tokio::select! {
                biased;
                () = session.stream.wait_until_reattached() => {
                    session.set_disconnected(None);
                    session.is_evicted.send_replace(false);
                    on_reattached(&lost, *session.route.lock());
                }
                _ = is_evicted.wait_for(|is_evicted| *is_evicted) => return lost,
                () = sleep(REATTACH_TIMEOUT) => return lost,
            }
        }
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        self.table.0.lock().remove(&self.session.attach_key.id());
    }
}
