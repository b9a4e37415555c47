//! One direction of an in-memory stream.
//!
//! It behaves like one direction of a QUIC stream: the number of chunks in flight is bounded, a finish or a reset
//! follows the data, and a stop discards the data and returns its code to the sender.

use std::{
    future::pending,
    mem,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, error::TrySendError},
};

use super::{connection_lost::ConnectionLost, stream_error::StreamError};

/// The number of chunks in flight at which a write waits.
const CAPACITY: usize = 16;

/// Creates one direction of a stream.
pub(super) fn memory_stream() -> (MemorySender, MemoryReceiver) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let stop_code = Arc::new(OnceLock::new());
    (
        MemorySender { signals: sender, stop_code: Arc::clone(&stop_code) },
        MemoryReceiver { signals: receiver, stop_code },
    )
}

#[derive(Debug)]
enum Signal {
    Data(Bytes),
    Finish,
    Reset(u32),
}

/// The sending end.
#[derive(Debug)]
pub(super) struct MemorySender {
    signals: mpsc::Sender<Signal>,
    /// The code of the receiver's stop. It is set before the channel closes.
    stop_code: Arc<OnceLock<u32>>,
}

impl MemorySender {
    /// Sends all of `chunk` once there is room. If the future is dropped before it completes, `chunk` is unchanged.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] if the receiver stopped the stream.
    pub(super) async fn write(&self, chunk: &mut Bytes) -> Result<(), StreamError> {
        let permit = self.signals.reserve().await.map_err(|_| self.closed_error())?;
        permit.send(Signal::Data(mem::take(chunk)));
        Ok(())
    }

    fn closed_error(&self) -> StreamError {
        let code = self.stop_code.get();
        code.map_or(StreamError::Lost(ConnectionLost::ClosedLocally), |code| StreamError::Aborted(*code))
    }

    pub(super) fn finish(&self) {
        self.send_end(Signal::Finish);
    }

    pub(super) fn reset(&self, code: u32) {
        self.send_end(Signal::Reset(code));
    }

    /// Sends an end without waiting. If the channel is full, a task waits for room.
    fn send_end(&self, end: Signal) {
        if let Err(TrySendError::Full(end)) = self.signals.try_send(end) {
            let signals = self.signals.clone();
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(async move { signals.send(end).await });
            }
        }
    }

    /// Completes when the receiver stops the stream. Stays pending if the receiver has read to the end.
    pub(super) fn stopped(&self) -> impl Future<Output = StreamError> + Send + 'static {
        let (signals, stop_code) = (self.signals.clone(), Arc::clone(&self.stop_code));
        async move {
            signals.closed().await;
            match stop_code.get() {
                Some(code) => StreamError::Aborted(*code),
                None => pending().await,
            }
        }
    }
}

/// The receiving end.
#[derive(Debug)]
pub(super) struct MemoryReceiver {
    signals: mpsc::Receiver<Signal>,
    stop_code: Arc<OnceLock<u32>>,
}

impl MemoryReceiver {
    /// Returns the next chunk, or `None` at the finish.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        Poll::Ready(match ready!(self.signals.poll_recv(cx)) {
            Some(Signal::Data(chunk)) => Ok(Some(chunk)),
            Some(Signal::Finish) => Ok(None),
            Some(Signal::Reset(code)) => Err(StreamError::Aborted(code)),
            None => Err(StreamError::Lost(ConnectionLost::ClosedLocally)),
        })
    }

    /// Asks the sender to stop. The first code counts.
    pub(super) fn stop(&mut self, code: u32) {
        let _ = self.stop_code.set(code); // fails if a code is set already
        self.signals.close();
    }
}
