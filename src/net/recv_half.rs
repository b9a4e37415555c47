//! The receiving half of a stream.
//!
//! It reads chunks from the connection in any order, as they arrive, and reorders them itself; [`super::reassembly`]
//! gives the reason. A caller must keep reading while more data may arrive, because quinn stores what is not read, with
//! its gaps. Up to 4 MiB of unread data caused no failure on any path that was measured, and 2.4 MB are safe on every
//! path (1,024 gaps of two packets each). With 16 MiB, paths that lose a third of their packets closed the connection.

use std::{
    future::{pending, poll_fn},
    mem,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use super::{
    memory_stream::MemoryReceiver,
    owned_frame::OwnedFrame,
    reassembly::{Reassembly, ReorderWindowExceeded},
    stream_error::StreamError,
};
use crate::wire::{
    HEADER, WireError,
    frame::read_header,
    reset_code::{CANCELLED, PROTOCOL_ERROR},
};

/// The default reorder window. The peer may be unauthenticated, and its first messages fill a few packets.
const FIRST_REORDER_WINDOW: usize = 8 * 1024;

/// The maximum number of bytes that may arrive before it is the peer's turn. Only flight 1 of a handshake arrives
/// early, because it follows the request to the relay at once.
const MAX_READ_AHEAD: usize = 8 * 1024;

/// The receiving half of a stream. Stops the stream if it is dropped before the end.
#[derive(Debug)]
pub struct RecvHalf {
    inner: Inner,
    reassembly: Reassembly,
    /// In-order bytes that were read from the stream and not yet returned.
    pending: Bytes,
    /// The bytes after `pending` that arrived before it was the peer's turn.
    read_ahead: BytesMut,
    /// Whether the stream was read to its end or stopped.
    ended: bool,
}

#[derive(Debug)]
enum Inner {
    Quic(quinn::RecvStream),
    Memory(MemoryReceiver),
}

impl RecvHalf {
    fn new(inner: Inner) -> Self {
        Self {
            inner,
            reassembly: Reassembly::new(FIRST_REORDER_WINDOW),
            pending: Bytes::new(),
            read_ahead: BytesMut::new(),
            ended: false,
        }
    }

    /// Allows `window` bytes to wait behind a gap: as many as the peer may send while an earlier byte is missing.
    pub fn set_reorder_window(&mut self, window: usize) {
        self.reassembly.set_window(window.max(FIRST_REORDER_WINDOW));
    }

    /// Discards all buffered bytes. The caller does not read from this half any more.
    pub fn discard_buffered(&mut self) {
        self.reassembly.clear();
        self.pending = Bytes::new();
        self.read_ahead = BytesMut::new();
    }

    /// Returns the memory used by chunks that wait behind a gap, or in a stream in memory, in bytes.
    pub fn buffered_memory(&self) -> usize {
        match &self.inner {
            Inner::Quic(_) => self.reassembly.memory() + self.pending.len() + self.read_ahead.len(),
            Inner::Memory(receiver) => receiver.in_flight(),
        }
    }

    /// Whether unread data makes the sender wait, without harm. It does in memory. A QUIC stream must always be read.
    pub fn has_backpressure(&self) -> bool {
        matches!(self.inner, Inner::Memory(_))
    }

    /// Whether the finish has arrived behind unread data. Always `false` for a QUIC stream, which must be read to its
    /// finish.
    pub fn has_finish(&self) -> bool {
        match &self.inner {
            Inner::Quic(_) => false,
            Inner::Memory(receiver) => receiver.has_finish(),
        }
    }

    /// Waits until the peer resets the stream, even if it was read to its finish. Stays pending for a QUIC stream,
    /// whose reset is an error of the next read.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is lost.
    pub async fn failed(&mut self) -> StreamError {
        match &mut self.inner {
            Inner::Quic(_) => pending().await,
            Inner::Memory(receiver) => {
                let why = poll_fn(|cx| receiver.poll_failure(cx)).await;
                self.ended = true;
                why
            }
        }
    }

    /// Tells the peer that everything up to the finish has been delivered. Dropping a half that was read to its finish
    /// has the same effect. QUIC acknowledges by itself.
    pub fn confirm_delivery(&self) {
        if let Inner::Memory(receiver) = &self.inner {
            receiver.confirm_delivery();
        }
    }

    /// Returns the next bytes as soon as any arrive, or `None` at the finish.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] if the peer reset the stream, [`StreamError::TooFarAhead`] if the reorder window is
    /// exceeded, [`StreamError::Lost`] if the connection ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no bytes are lost.
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        if !self.pending.is_empty() {
            return Poll::Ready(Ok(Some(mem::take(&mut self.pending))));
        }
        if !self.read_ahead.is_empty() {
            return Poll::Ready(Ok(Some(mem::take(&mut self.read_ahead).freeze())));
        }
        self.poll_arrival(cx)
    }

    /// Returns the next unread bytes in order.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        if let Some(chunk) = self.reassembly.pop_ready() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        while !self.ended {
            let next = ready!(self.poll_chunk(cx));
            let Ok(Some((offset, chunk))) = next else {
                self.ended = true;
                return Poll::Ready(next.map(|_| None));
            };
            let in_order = self.reassembly.insert(offset, chunk);
            if let Some(chunk) = in_order.map_err(|ReorderWindowExceeded| StreamError::TooFarAhead)? {
                return Poll::Ready(Ok(Some(chunk)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Returns the next chunk as it arrives, in any order, with its offset in the stream; `None` at the finish.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(u64, Bytes)>, StreamError>> {
        match &mut self.inner {
            Inner::Quic(stream) => {
                let chunk = ready!(pin!(stream.read_chunk(usize::MAX, false)).poll(cx))?;
                Poll::Ready(Ok(chunk.map(|chunk| (chunk.offset, chunk.bytes))))
            }
            Inner::Memory(receiver) => {
                let chunk = ready!(receiver.poll_read(cx))?;
                Poll::Ready(Ok(chunk.map(|chunk| (self.reassembly.next_offset(), chunk))))
            }
        }
    }

    /// Stores arriving bytes for the next reads, although it is not the peer's turn. Completes when the stream fails.
    ///
    /// The error is one of [`RecvHalf::read`], or [`WireError::OutOfTurn`] if more than [`MAX_READ_AHEAD`] bytes
    /// arrive. `OutOfTurn` stops the stream.
    pub(super) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        while !self.ended {
            match ready!(self.poll_arrival(cx)) {
                Ok(Some(chunk)) => self.read_ahead.extend_from_slice(&chunk), // a chunk may keep a batch of packets alive
                Ok(None) => break,
                Err(e) => return Poll::Ready(e),
            }
            if self.pending.len() + self.read_ahead.len() > MAX_READ_AHEAD {
                self.stop(PROTOCOL_ERROR);
                return Poll::Ready(WireError::OutOfTurn.into());
            }
        }
        Poll::Pending // the stream has finished; the next read reports it
    }

    /// Passes the chunks that have arrived to `consume`. Waits for the first of them; returns `false` at the finish.
    ///
    /// # Errors
    /// As [`RecvHalf::read`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, `consume` was not called and no bytes are lost.
    pub async fn read_available(&mut self, mut consume: impl FnMut(Bytes)) -> Result<bool, StreamError> {
        /// After this many bytes the call returns, so that other tasks can run.
        const MAX_BYTES_PER_CALL: usize = 512 * 1024;
        let mut consumed = 0;
        poll_fn(|cx| {
            while consumed < MAX_BYTES_PER_CALL {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(Some(chunk))) => {
                        consumed += chunk.len();
                        consume(chunk);
                    }
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Ready(Ok(None)) | Poll::Pending if consumed > 0 => break,
                    Poll::Ready(Ok(None)) => return Poll::Ready(Ok(false)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(true))
        })
        .await
    }

    /// Reads until `buffer` holds `length` bytes.
    ///
    /// # Errors
    /// As [`RecvHalf::read`], and [`StreamError::EndedEarly`] if the stream finishes first.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the bytes read so far are in `buffer`, and another call with the
    /// same `buffer` continues behind them.
    pub async fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<(), StreamError> {
        buffer.reserve(length.saturating_sub(buffer.len()));
        while buffer.len() < length {
            let mut chunk = self.read().await?.ok_or(StreamError::EndedEarly)?;
            let missing = length - buffer.len();
            if chunk.len() > missing {
                self.pending = chunk.split_off(missing);
            }
            buffer.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Discards the next bytes as soon as any arrive, at most `max`, and returns how many.
    ///
    /// # Errors
    /// As [`RecvHalf::fill`].
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no bytes are discarded.
    pub async fn skip(&mut self, max: u64) -> Result<u64, StreamError> {
        let mut chunk = self.read().await?.ok_or(StreamError::EndedEarly)?;
        let skipped = usize::try_from(max).unwrap_or(usize::MAX).min(chunk.len());
        self.pending = chunk.split_off(skipped);
        Ok(skipped as u64)
    }

    /// Reads the next frame, whose body has at most `max_body` bytes.
    ///
    /// # Errors
    /// As [`RecvHalf::fill`], and [`WireError::TooLong`] for a longer body, which is not read.
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped before it completes, the bytes of the frame that it has read are lost.
    pub async fn read_frame(&mut self, max_body: u32) -> Result<OwnedFrame, StreamError> {
        let mut bytes = Vec::with_capacity(HEADER);
        self.fill(&mut bytes, HEADER).await?;
        let (_, length) = read_header(bytes[..].try_into().map_err(|_| WireError::Malformed)?);
        if length > max_body {
            return Err(WireError::TooLong.into());
        }
        self.fill(&mut bytes, HEADER + length as usize).await?;
        Ok(OwnedFrame::new(bytes.into()))
    }

    /// Asks the peer to stop sending, with `code`. Has no effect after the end of the stream.
    pub fn stop(&mut self, code: u32) {
        if self.ended {
            return;
        }
        self.ended = true;
        match &mut self.inner {
            Inner::Quic(stream) => {
                let _ = stream.stop(VarInt::from_u32(code)); // fails only if the stream is closed already
            }
            Inner::Memory(receiver) => receiver.stop(code),
        }
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.stop(CANCELLED);
        self.confirm_delivery(); // has no effect on a stream that was stopped
    }
}

impl From<quinn::RecvStream> for RecvHalf {
    fn from(stream: quinn::RecvStream) -> Self {
        Self::new(Inner::Quic(stream))
    }
}

impl From<MemoryReceiver> for RecvHalf {
    fn from(receiver: MemoryReceiver) -> Self {
        Self::new(Inner::Memory(receiver))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::duplex,
        route::Route,
        wire::{
            frame::encode,
            relay::{IncomingDownload, MAX_BODY, SourceTag},
        },
    };

    #[tokio::test]
    async fn a_frame_is_read_from_chunks_of_one_byte() {
        let [(mut send, _), (_, mut recv)] = duplex();
        let mut bytes = Vec::new();
        encode(&IncomingDownload { source: SourceTag::alone([7; 8]), route: Route::Relay }, &mut bytes).unwrap();
        bytes.extend_from_slice(b"rest");
        for b in bytes {
            send.write(Bytes::copy_from_slice(&[b])).await.unwrap();
        }
        send.finish();
        recv.read_frame(MAX_BODY).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
        let mut rest = Vec::new();
        recv.fill(&mut rest, 4).await.unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(recv.fill(&mut rest, 5).await, Err(StreamError::EndedEarly));
    }

    #[tokio::test]
    async fn the_length_of_a_frame_is_checked_before_its_body_is_read() {
        let [(mut send, _), (_, mut recv)] = duplex();
        send.write(Bytes::from_static(&[1, 0xff, 0xff, 0xff, 0xff])).await.unwrap();
        assert_eq!(recv.read_frame(100).await.unwrap_err(), StreamError::Wire(WireError::TooLong));
    }
}
