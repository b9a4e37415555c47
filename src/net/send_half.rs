//! The sending half of a stream.
//!
//! quinn's `SendStream` *finishes* when it is dropped, so an error path that only returns would look like a complete
//! stream to the peer. A [`SendHalf`] that is dropped before [`SendHalf::finish`] resets the stream instead.

use std::{future::pending, slice, sync::Arc};

use bytes::{Buf, Bytes};
use quinn::VarInt;

use super::{
    connection_lost::{ConnectionLost, application_code},
    memory_stream::MemorySender,
    send_buffer::SendBuffer,
    stream_error::StreamError,
};
use crate::wire::{Message, frame::encode, reset_code::CANCELLED};

/// The sending half of a stream. Resets the stream if it is dropped before [`SendHalf::finish`].
#[derive(Debug)]
pub struct SendHalf {
    inner: Inner,
    /// Whether the stream was finished or reset.
    ended: bool,
}

#[derive(Debug)]
enum Inner {
    Quic(quinn::SendStream, Arc<SendBuffer>),
    Memory(MemorySender),
}

impl SendHalf {
    /// Wraps a QUIC stream of the connection that owns `buffer`.
    pub(super) fn from_quic(stream: quinn::SendStream, buffer: Arc<SendBuffer>) -> Self {
        Self { inner: Inner::Quic(stream, buffer), ended: false }
    }

    /// Writes all of `chunk`. Waits while there is no room.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] if the peer stopped the stream, [`StreamError::Lost`] if the connection ended.
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped before it completes, an unknown part of `chunk` was written, and the
    /// rest is lost.
    pub async fn write(&mut self, mut chunk: Bytes) -> Result<(), StreamError> {
        match &mut self.inner {
            Inner::Quic(stream, _) => Ok(stream.write_chunk(chunk).await?),
            Inner::Memory(sender) => sender.write(&mut chunk).await,
        }
    }

    /// Writes `message` as a frame.
    ///
    /// # Errors
    /// As [`SendHalf::write`], and [`StreamError::Wire`] if the message cannot be encoded.
    ///
    /// # Cancel safety
    /// Not cancel safe, as [`SendHalf::write`]: a part of the frame may have been written.
    pub async fn send_message<M: Message>(&mut self, message: &M) -> Result<(), StreamError> {
        let mut bytes = Vec::new();
        encode(message, &mut bytes)?;
        self.write(bytes.into()).await
    }

    /// Writes all of `chunk`. The calls on one QUIC connection write one at a time, in the order in which they were
    /// made. A stream in memory has its own room, so it waits for no other.
    ///
    /// # Errors
    /// As [`SendHalf::write`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the unwritten bytes are still in `chunk`. The next call waits for
    /// its turn behind the calls of other streams.
    pub async fn write_in_turn(&mut self, chunk: &mut Bytes) -> Result<(), StreamError> {
        let buffer = match &self.inner {
            Inner::Quic(_, buffer) => Some(Arc::clone(buffer)),
            Inner::Memory(_) => None,
        };
        let _turn = match &buffer {
            Some(buffer) => buffer.acquire_turn().await,
            None => None,
        };
        while !chunk.is_empty() {
            self.write_some(chunk).await?;
        }
        Ok(())
    }

    /// Writes as much of `chunk` as there is room for, at least one byte, and removes it from `chunk`.
    ///
    /// # Errors
    /// As [`SendHalf::write`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing was written and `chunk` is unchanged.
    pub async fn write_some(&mut self, chunk: &mut Bytes) -> Result<(), StreamError> {
        let mut piece = self.next_piece(chunk).await;
        let length = piece.len();
        match &mut self.inner {
            Inner::Quic(stream, _) => {
                stream.write_chunks(slice::from_mut(&mut piece)).await?;
            }
            Inner::Memory(sender) => sender.write(&mut piece).await?,
        }
        chunk.advance(length - piece.len());
        Ok(())
    }

    /// Returns how much of `chunk` to write at once: all of it, or what the rate limit allows now.
    async fn next_piece(&self, chunk: &Bytes) -> Bytes {
        let limiter = match &self.inner {
            Inner::Quic(_, buffer) => {
                buffer.follow_congestion_window();
                buffer.rate_limiter()
            }
            Inner::Memory(sender) => sender.rate_limiter(),
        };
        let Some(limiter) = limiter else { return chunk.clone() };
        let piece = chunk.slice(..chunk.len().min(limiter.chunk_size()));
        limiter.acquire(piece.len()).await;
        piece
    }

    /// Marks the stream as complete. The written bytes may still be in flight: see
    /// [`SendHalf::wait_until_delivered`].
    pub fn finish(&mut self) {
        self.ended = true;
        match &mut self.inner {
            Inner::Quic(stream, _) => {
                let _ = stream.finish(); // fails only if the stream is closed already
            }
            Inner::Memory(sender) => sender.finish(),
        }
    }

    /// Waits until the peer has acknowledged everything up to the finish, until it stops the stream, or until the
    /// connection ends. The peer of a stream in memory acknowledges with [`RecvHalf::confirm_delivery`].
    ///
    /// [`RecvHalf::confirm_delivery`]: super::RecvHalf::confirm_delivery
    pub async fn wait_until_delivered(&mut self) {
        match &mut self.inner {
            Inner::Quic(stream, _) => {
                let _ = stream.stopped().await; // each of the three ends the wait
            }
            Inner::Memory(sender) => sender.wait_until_delivered().await,
        }
    }

    /// Completes when the peer stops the stream or the connection ends, and returns which. Stays pending if everything
    /// was delivered.
    pub fn stopped(&self) -> impl Future<Output = StreamError> + Send + 'static {
        let stopped = match &self.inner {
            Inner::Quic(stream, _) => Ok(stream.stopped()),
            Inner::Memory(sender) => Err(sender.stopped()),
        };
        async move {
            match stopped {
                Ok(stopped) => match stopped.await {
                    Ok(Some(code)) => StreamError::Aborted(application_code(code)),
                    Ok(None) => pending().await,
                    Err(quinn::StoppedError::ConnectionLost(e)) => StreamError::Lost(e.into()),
                    Err(quinn::StoppedError::ZeroRttRejected) => StreamError::Lost(ConnectionLost::ClosedLocally),
                },
                Err(stopped) => stopped.await,
            }
        }
    }

    /// Resets the stream with `code`, unless it was finished. The peer learns that the stream is incomplete.
    pub fn reset(&mut self, code: u32) {
        if !self.ended {
            self.reset_even_if_finished(code);
        }
    }

    /// Resets the stream with `code`, even if it was finished. Bytes that have not arrived yet are not delivered.
    pub fn reset_even_if_finished(&mut self, code: u32) {
        self.ended = true;
        match &mut self.inner {
            Inner::Quic(stream, _) => {
                let _ = stream.reset(VarInt::from_u32(code)); // fails only if the stream is closed already
            }
            Inner::Memory(sender) => sender.reset(code),
        }
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.reset(CANCELLED);
    }
}

impl From<MemorySender> for SendHalf {
    fn from(sender: MemorySender) -> Self {
        Self { inner: Inner::Memory(sender), ended: false }
    }
}
