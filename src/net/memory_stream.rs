//! One direction of an in-memory stream.
//!
//! It behaves like one direction of a QUIC stream: the bytes in flight are bounded, a finish follows the data, a reset
//! overtakes and discards it, and a stop discards it and returns its code to the sender. Unlike QUIC, a reader that
//! stops reading makes the sender wait, and the data is delivered only when the reader says so. Chunks are handed over
//! and never copied.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{connection_lost::ConnectionLost, stream_error::StreamError};
use crate::{rate_limiter::RateLimiter, sync::Mutex};

/// The bytes in flight at which a write waits. A chunk may exceed it, so at most one record more is in flight.
const CAPACITY: usize = 128 * 1024;

/// Creates one direction of a stream.
pub(super) fn memory_stream() -> (MemorySender, MemoryReceiver) {
    let pipe = Arc::new(Pipe::new(None));
    (MemorySender::new(Arc::clone(&pipe), None), MemoryReceiver::new(pipe))
}

/// The state that both ends of one direction share.
#[derive(Debug)]
pub(super) struct Pipe {
    state: Mutex<PipeState>,
    /// Whether the receiver still reads.
    reading: watch::Sender<Reading>,
    /// Counts the stream among those that a connection may have open.
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

#[derive(Debug, Default)]
struct PipeState {
    chunks: VecDeque<Bytes>,
    /// The length of all chunks.
    length: usize,
    end: Option<End>,
    /// The waiting reader and the waiting writer.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What follows the chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Finish,
    Failure(StreamError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    /// The receiver has not confirmed the finish.
    Open,
    /// Everything was delivered.
    Delivered,
    /// The receiver has stopped the stream, or the connection has ended.
    Failed(StreamError),
}

impl Pipe {
    /// Creates an empty pipe, which keeps `permit` for as long as it lives.
    pub(super) fn new(permit: Option<Arc<OwnedSemaphorePermit>>) -> Self {
        Self { state: Mutex::default(), reading: watch::Sender::new(Reading::Open), _permit: permit }
    }

    /// Ends both directions because the connection has ended, for these reasons in the eyes of the two ends.
    pub(super) fn lose(&self, sender: &ConnectionLost, receiver: &ConnectionLost) {
        self.end_reading(Reading::Failed(StreamError::Lost(sender.clone())));
        self.end_writing(StreamError::Lost(receiver.clone()));
    }

    /// Ends the stream with `failure`, which overtakes the chunks and the finish. The first failure counts.
    fn end_writing(&self, failure: StreamError) {
        let mut state = self.state.lock();
        if !matches!(state.end, Some(End::Failure(_))) {
            state.clear();
            state.end = Some(End::Failure(failure));
            wake(&mut state.reader);
        }
    }

    /// Sets how the reading ended, unless it has ended already.
    fn end_reading(&self, end: Reading) {
        let changed = self.reading.send_if_modified(|reading| {
            let is_open = *reading == Reading::Open;
            if is_open {
                *reading = end;
            }
            is_open
        });
        if changed {
            let mut state = self.state.lock();
            state.clear();
            wake(&mut state.writer);
        }
    }

    /// Waits until the receiver does not read any more.
    async fn wait_until_read(&self) -> Reading {
        let mut reading = self.reading.subscribe();
        let _ = reading.wait_for(|reading| *reading != Reading::Open).await; // cannot fail: `self` holds the sender
        reading.borrow().clone()
    }

    fn failure(&self) -> Option<StreamError> {
        match &*self.reading.borrow() {
            Reading::Open => None,
            Reading::Delivered => Some(StreamError::Lost(ConnectionLost::ClosedLocally)),
            Reading::Failed(why) => Some(why.clone()),
        }
    }
}

impl PipeState {
    fn clear(&mut self) {
        self.chunks.clear();
        self.length = 0;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The sending end.
#[derive(Debug)]
pub(super) struct MemorySender {
    pipe: Arc<Pipe>,
    rate_limiter: Option<Arc<RateLimiter>>,
}

impl MemorySender {
    /// Creates the sending end of `pipe`. The streams of one end of a connection share a rate limiter.
    pub(super) fn new(pipe: Arc<Pipe>, rate_limiter: Option<Arc<RateLimiter>>) -> Self {
        Self { pipe, rate_limiter }
    }

    /// The limiter of the send rate, if the rate is limited.
    pub(super) fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.rate_limiter.as_deref()
    }

    /// Sends all of `chunk` once there is room. If the future is dropped before it completes, `chunk` is unchanged.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] if the receiver stopped the stream, [`StreamError::Lost`] if the connection ended.
    pub(super) async fn write(&self, chunk: &mut Bytes) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_write(cx, chunk)).await
    }

    fn poll_write(&self, cx: &mut Context<'_>, chunk: &mut Bytes) -> Poll<Result<(), StreamError>> {
        let mut state = self.pipe.state.lock();
        if let Some(why) = self.pipe.failure() {
            return Poll::Ready(Err(why));
        }
        if state.end.is_some() {
            return Poll::Ready(Err(StreamError::Lost(ConnectionLost::ClosedLocally)));
        }
        if state.length >= CAPACITY {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !chunk.is_empty() {
            state.length += chunk.len();
            state.chunks.push_back(mem::take(chunk));
            wake(&mut state.reader);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn finish(&self) {
        let mut state = self.pipe.state.lock();
        if state.end.is_none() {
            state.end = Some(End::Finish);
            wake(&mut state.reader);
        }
    }

    /// Resets the stream, even if it was finished. The chunks that were not read are discarded.
    pub(super) fn reset(&self, code: u32) {
        self.pipe.end_writing(StreamError::Aborted(code));
    }

    /// Completes when the receiver stops the stream or the connection ends. Stays pending if everything was delivered.
    pub(super) fn stopped(&self) -> impl Future<Output = StreamError> + Send + 'static {
        let pipe = Arc::clone(&self.pipe);
        async move {
            match pipe.wait_until_read().await {
                Reading::Failed(why) => why,
                Reading::Open | Reading::Delivered => pending().await,
            }
        }
    }

    /// Waits until everything was delivered, until the receiver stops the stream, or until the connection ends.
    pub(super) async fn wait_until_delivered(&self) {
        self.pipe.wait_until_read().await;
    }
}

/// The receiving end.
#[derive(Debug)]
pub(super) struct MemoryReceiver {
    pipe: Arc<Pipe>,
}

impl MemoryReceiver {
    /// Creates the receiving end of `pipe`.
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }

    /// Returns the next chunk, or `None` at the finish.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        let mut state = self.pipe.state.lock();
        if let Some(chunk) = state.chunks.pop_front() {
            state.length -= chunk.len();
            if state.length < CAPACITY {
                wake(&mut state.writer);
            }
            return Poll::Ready(Ok(Some(chunk)));
        }
        match &state.end {
            Some(End::Finish) => Poll::Ready(Ok(None)),
            Some(End::Failure(why)) => Poll::Ready(Err(why.clone())),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Returns why the stream failed, as soon as it does: after the finish too, and whatever was not read.
    pub(super) fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        let mut state = self.pipe.state.lock();
        if let Some(End::Failure(why)) = &state.end {
            return Poll::Ready(why.clone());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the sender has finished the stream, even if chunks are unread.
    pub(super) fn has_finish(&self) -> bool {
        self.pipe.state.lock().end == Some(End::Finish)
    }

    /// The length of the chunks in flight, in bytes.
    pub(super) fn in_flight(&self) -> usize {
        self.pipe.state.lock().length
    }

    /// Tells the sender that everything up to the finish was delivered.
    pub(super) fn confirm_delivery(&self) {
        self.pipe.end_reading(Reading::Delivered);
    }

    /// Asks the sender to stop. The first code counts.
    pub(super) fn stop(&self, code: u32) {
        self.pipe.end_reading(Reading::Failed(StreamError::Aborted(code)));
    }
}
