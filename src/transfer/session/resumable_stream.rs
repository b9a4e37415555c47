//! What carries a session: one stream after another.
//!
//! A session outlives its stream. Each direction counts its sealed bytes and keeps those that the other end has not
//! acknowledged, so that after a cut the very same bytes go out again over the next stream, from where the other end
//! says that it is: nothing is sealed twice, nothing is hashed again. A line that was dead, a relay that started again
//! and another network are all one thing here: the stream ended ([`ResumableStream::broken`]), and somebody brings another
//! ([`ResumableStream::attach`]).
//!
//! Until [`ResumableStream::outlive`] is called, the end of the stream is the end of the session: a session that nobody has
//! proved is not kept for anybody.

use std::{
    collections::VecDeque,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    net::{RecvHalf, SendHalf, StreamError},
    sync::Mutex,
    wire::{
        WireError,
        reset_code::{ENDED, PROTOCOL_ERROR},
    },
};

/// The number of the first stream.
pub(crate) const FIRST: u64 = 1;

/// The most that is kept: twice the longest credit, and far more than a receiver has to say.
const MOST_KEPT: u64 = 64 * 1024 * 1024;

/// The stream of the moment, for both directions of a session and for who replaces it. A handle: clones share one.
#[derive(Clone)]
pub struct ResumableStream(Arc<Inner>);

struct Inner {
    now: watch::Sender<Now>,
    /// The halves of the newest stream, until each direction takes its own.
    fresh: Mutex<FreshStream>,
    kept: Mutex<RetransmitBuffer>,
    /// Bytes that have arrived here in order.
    received: AtomicU64,
}

#[derive(Debug, Clone)]
struct Now {
    /// How many streams there were.
    stream: u64,
    /// Why the stream of the moment is no good any more.
    broken: Option<StreamError>,
    outlives: bool,
    /// Why there will be no other stream.
    over: Option<StreamError>,
}

/// Half of a stream that nobody has used yet.
pub(crate) struct Fresh<H> {
    pub(crate) half: H,
    /// Which stream it is of.
    pub(crate) stream: u64,
    /// The offset in the sealed bytes at which it begins.
    pub(crate) from: u64,
}

/// Both halves of one, until each is taken.
#[derive(Default)]
struct FreshStream {
    send: Option<Fresh<SendHalf>>,
    recv: Option<Fresh<RecvHalf>>,
}

/// Sealed bytes that the other end has not acknowledged.
struct RetransmitBuffer {
    /// Records, each with the offset at which it begins.
    records: VecDeque<(u64, Bytes)>,
    /// The offset behind the last one.
    end: u64,
    acknowledged: u64,
    /// The offset behind the last one that has gone to the stream of the moment: the other end is to get everything before
    /// that from this stream, though it may have some of it.
    taken: u64,
    /// The number of that stream.
    stream: u64,
    /// What all sessions of a share keep, where this one counts.
    in_all: Option<Arc<AtomicU64>>,
}

impl RetransmitBuffer {
    /// Nothing yet, for the first stream.
    fn new() -> Self {
        Self { records: VecDeque::new(), end: 0, acknowledged: 0, taken: 0, stream: FIRST, in_all: None }
    }

    /// Lets go of what is acknowledged and not to be sent over this stream once more.
    fn release(&mut self) {
        let free = self.acknowledged.min(self.taken);
        while let Some((at, record)) = self.records.front()
            && at + record.len() as u64 <= free
        {
            self.uncount(record.len());
            self.records.pop_front();
        }
    }

    /// Bytes that are kept.
    fn bytes(&self) -> usize {
        self.records.iter().map(|(_, record)| record.len()).sum()
    }

    fn count(&self, length: usize) {
        if let Some(in_all) = &self.in_all {
            in_all.fetch_add(length as u64, Ordering::Relaxed);
        }
    }

    fn uncount(&self, length: usize) {
        if let Some(in_all) = &self.in_all {
            in_all.fetch_sub(length as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for RetransmitBuffer {
    fn drop(&mut self) {
        self.uncount(self.bytes());
    }
}

impl ResumableStream {
    /// Of a session that begins on a stream whose halves both directions have.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            now: watch::Sender::new(Now { stream: FIRST, broken: None, outlives: false, over: None }),
            fresh: Mutex::default(),
            kept: Mutex::new(RetransmitBuffer::new()),
            received: AtomicU64::new(0),
        }))
    }

    /// From here on the session waits for another stream where one ends.
    pub fn outlive(&self) {
        self.0.now.send_modify(|now| now.outlives = true);
    }

    /// Goes on over another stream: the other end has `their_received` of our bytes in order, and was told that
    /// `our_received` of its own are here.
    ///
    /// # Errors
    /// [`WireError::Malformed`] where it claims what was never sent, or less than it has acknowledged.
    pub fn attach(
        &self,
        send: SendHalf,
        recv: RecvHalf,
        their_received: u64,
        our_received: u64,
    ) -> Result<(), WireError> {
        if !self.is_possible(their_received) {
            return Err(WireError::Malformed);
        }
        self.acknowledge(their_received)?;
        {
            let mut kept = self.lock_kept();
            kept.taken = their_received;
            kept.stream = self.0.now.borrow().stream + 1;
        }
        let mut fresh = self.lock_fresh();
        self.0.now.send_modify(|now| {
            now.stream += 1;
            now.broken = None;
            let stream = now.stream;
            fresh.send = Some(Fresh { half: send, stream, from: their_received });
            fresh.recv = Some(Fresh { half: recv, stream, from: our_received });
        });
        Ok(())
    }

    /// Whether the other end can have so much of our bytes.
    pub fn is_possible(&self, received: u64) -> bool {
        let kept = self.lock_kept();
        (kept.acknowledged..=kept.end).contains(&received)
    }

    /// The other end has our bytes up to this offset: they are not needed any more.
    ///
    /// # Errors
    /// [`WireError::Malformed`] where they were never sealed.
    pub fn acknowledge(&self, received: u64) -> Result<(), WireError> {
        let mut kept = self.lock_kept();
        if received > kept.end {
            return Err(WireError::Malformed);
        }
        kept.acknowledged = kept.acknowledged.max(received);
        kept.release();
        Ok(())
    }

    /// What this session keeps counts there from now on.
    pub(crate) fn count_in(&self, in_all: &Arc<AtomicU64>) {
        let mut kept = self.lock_kept();
        kept.in_all = Some(Arc::clone(in_all));
        kept.count(kept.bytes());
    }

    /// Bytes that have arrived here in order.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Acquire)
    }

    /// Waits until the stream is no good any more, and says why.
    pub async fn broken(&self) -> StreamError {
        let mut now = self.0.now.subscribe();
        match now.wait_for(|now| now.broken.is_some()).await {
            Ok(now) => now.broken.clone().unwrap_or(StreamError::EndedEarly),
            Err(_) => StreamError::EndedEarly, // the channel lives in here
        }
    }

    /// Waits until there is a good stream again.
    pub async fn mended(&self) {
        let _ = self.0.now.subscribe().wait_for(|now| now.broken.is_none()).await;
    }

    /// Whether a stream is awaited.
    pub fn is_broken(&self) -> bool {
        self.0.now.borrow().broken.is_some()
    }

    /// Whether there will be no other stream.
    pub fn is_over(&self) -> bool {
        self.0.now.borrow().over.is_some()
    }

    /// Somebody who knows says that the stream is no good any more.
    pub fn breaks(&self, why: StreamError) {
        self.break_if(why, |_| true);
    }

    /// No other stream comes, and this one is no good any more: who uses it or waits for one fails.
    pub fn give_up(&self, why: StreamError) {
        self.0.now.send_modify(|now| {
            now.broken.get_or_insert_with(|| why.clone());
            now.over.get_or_insert(why);
        });
    }

    /// The other end has said its last word: the end of this stream is the end of the session.
    pub(crate) fn last_word(&self) {
        self.0.now.send_modify(|now| now.outlives = false);
    }

    fn break_if(&self, why: StreamError, condition: impl Fn(&Now) -> bool) {
        self.0.now.send_if_modified(|now| {
            let breaks = now.broken.is_none() && now.over.is_none() && condition(now);
            if breaks {
                if !now.outlives {
                    now.over = Some(why.clone());
                }
                now.broken = Some(why);
            }
            breaks
        });
    }

    /// A half of this stream has failed: gives the reason back where no other stream can help.
    pub(crate) fn failed(&self, stream: u64, why: StreamError) -> Result<(), StreamError> {
        if !can_be_mended(&why) {
            return Err(why);
        }
        self.break_if(why, |now| now.stream == stream);
        match &self.0.now.borrow().over {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Completes when this stream is no longer the one to use.
    pub(crate) async fn replaced(&self, stream: u64) {
        let gone = |now: &Now| now.stream != stream || now.broken.is_some() || now.over.is_some();
        let _ = self.0.now.subscribe().wait_for(gone).await;
    }

    /// The sending half of a stream after this one.
    pub(crate) async fn next_send(&self, stream: u64) -> Result<Fresh<SendHalf>, StreamError> {
        self.next(stream, |fresh| fresh.send.take()).await
    }

    /// The receiving half of a stream after this one.
    pub(crate) async fn next_recv(&self, stream: u64) -> Result<Fresh<RecvHalf>, StreamError> {
        self.next(stream, |fresh| fresh.recv.take()).await
    }

    async fn next<H>(
        &self,
        stream: u64,
        take: impl Fn(&mut FreshStream) -> Option<Fresh<H>>,
    ) -> Result<Fresh<H>, StreamError> {
        let mut now = self.0.now.subscribe();
        let mut seen = stream;
        loop {
            let over = match now.wait_for(|now| now.over.is_some() || now.stream > seen).await {
                Ok(now) => {
                    seen = now.stream;
                    now.over.clone()
                }
                Err(_) => Some(StreamError::EndedEarly), // the channel lives in here
            };
            if let Some(fresh) = take(&mut self.lock_fresh()) {
                return Ok(fresh);
            }
            if let Some(why) = over {
                return Err(why);
            }
        }
    }

    /// Keeps a record until it is acknowledged.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] where the other end acknowledges nothing.
    pub(crate) fn keep(&self, record: Bytes) -> Result<(), StreamError> {
        let mut kept = self.lock_kept();
        let at = kept.end;
        kept.end += record.len() as u64;
        kept.count(record.len());
        kept.records.push_back((at, record));
        if kept.end - kept.acknowledged > MOST_KEPT { Err(StreamError::TooFarAhead) } else { Ok(()) }
    }

    /// What is kept from this offset on, to the end of its record, for this stream; nothing at the end.
    pub(crate) fn kept(&self, stream: u64, from: u64) -> Result<Bytes, WireError> {
        let mut kept = self.lock_kept();
        let index = kept.records.partition_point(|(at, record)| at + record.len() as u64 <= from);
        let next = match kept.records.get(index) {
            _ if from == kept.end => Bytes::new(),
            Some((at, record)) if *at <= from => record.slice((from - at) as usize..),
            _ => return Err(WireError::Malformed), // acknowledged before it was sent
        };
        if kept.stream == stream {
            kept.taken = kept.taken.max(from + next.len() as u64);
            kept.release();
        }
        Ok(next)
    }

    pub(crate) fn note_received(&self, received: u64) {
        self.0.received.store(received, Ordering::Release);
    }

    fn lock_fresh(&self) -> MutexGuard<'_, FreshStream> {
        self.0.fresh.lock()
    }

    fn lock_kept(&self) -> MutexGuard<'_, RetransmitBuffer> {
        self.0.kept.lock()
    }
}

impl Default for ResumableStream {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether another stream may do better: not where the other end does not keep to the protocol, or has ended its share.
fn can_be_mended(why: &StreamError) -> bool {
    match why {
        StreamError::Lost(_) | StreamError::EndedEarly => true,
        StreamError::Aborted(code) => !matches!(*code, PROTOCOL_ERROR | ENDED),
        StreamError::TooFarAhead | StreamError::Wire(_) => false,
    }
}
