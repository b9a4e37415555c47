//! Connections and stream halves that say why they ended.
//!
//! quinn's `SendStream` *finishes* when it is dropped, so that an error path that merely returns would look like a
//! complete stream to the other end. A [`SendHalf`] resets instead, unless it was finished on purpose. Both halves can
//! also be made in memory, so that a session can be tested without a network.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use quinn::VarInt;
use tokio::{sync::mpsc, time::timeout};

use super::{
    backlog::Backlog,
    reassembly::Reassembly,
    stream_error::{ConnectionLost, StreamError, code},
    transport_config::TransportOptions,
};
use crate::wire::{
    Frame, HEADER, Message, WireError,
    frame::{encode, read_header},
    reset_code::{CANCELLED, ENDED},
};

/// One QUIC connection.
#[derive(Debug, Clone)]
pub struct Connection {
    quic: quinn::Connection,
    backlog: Arc<Backlog>,
}

impl Connection {
    /// A connection that QUIC has made.
    pub(super) fn new(quic: quinn::Connection, transport: TransportOptions) -> Self {
        Self { backlog: Arc::new(Backlog::new(quic.clone(), transport.send_rate_limit)), quic }
    }

    /// Opens a stream; waits while the other side allows no more.
    ///
    /// # Errors
    /// [`StreamError::Lost`].
    pub async fn open_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let stream = self.quic.open_bi().await.map_err(|e| StreamError::Lost(e.into()))?;
        Ok(self.halves(stream))
    }

    /// Waits for a stream of the other side.
    ///
    /// # Errors
    /// [`StreamError::Lost`].
    pub async fn accept_stream(&self) -> Result<(SendHalf, RecvHalf), StreamError> {
        let stream = self.quic.accept_bi().await.map_err(|e| StreamError::Lost(e.into()))?;
        Ok(self.halves(stream))
    }

    fn halves(&self, (send, recv): (quinn::SendStream, quinn::RecvStream)) -> (SendHalf, RecvHalf) {
        let inner = SendInner::Quic(send, Arc::clone(&self.backlog));
        (SendHalf { inner, ended: false }, RecvHalf::from(recv))
    }

    /// Waits until the connection is gone, and says how.
    pub async fn closed(&self) -> ConnectionLost {
        self.quic.closed().await.into()
    }

    /// Whether it is gone.
    pub fn is_closed(&self) -> bool {
        self.quic.close_reason().is_some()
    }

    /// Waits until nothing at all was heard of the other side for `limit`, or the connection is gone. Both sides speak
    /// every few seconds where they have nothing to say, so that a line that is silent for longer is dead.
    pub async fn wait_until_silent(&self, limit: Duration) -> ConnectionLost {
        /// How exactly silence is measured. Time in which this process did not run does not count.
        const LOOK_EVERY: Duration = Duration::from_millis(500);
        let heard = || self.quic.stats().udp_rx.datagrams;
        let (mut last, mut silent) = (heard(), Duration::ZERO);
        while silent < limit {
            if let Ok(lost) = timeout(LOOK_EVERY, self.closed()).await {
                return lost;
            }
            let now = heard();
            silent = if now == last { silent + LOOK_EVERY } else { Duration::ZERO };
            last = now;
        }
        ConnectionLost::TimedOut
    }

    /// What quinn knows of it.
    pub(super) fn quic(&self) -> &quinn::Connection {
        &self.quic
    }

    /// Ends the connection: nothing more is delivered in either direction.
    pub fn close(&self) {
        self.quic.close(VarInt::from_u32(ENDED), &[]);
    }
}

/// The sending half of a stream. Dropped before [`SendHalf::finish`], it resets the stream.
#[derive(Debug)]
pub struct SendHalf {
    inner: SendInner,
    ended: bool,
}

#[derive(Debug)]
enum SendInner {
    Quic(quinn::SendStream, Arc<Backlog>),
    Memory(mpsc::Sender<Signal>),
}

/// What goes through a stream in memory.
#[derive(Debug)]
enum Signal {
    Data(Bytes),
    Finish,
    Reset(u32),
}

impl SendHalf {
    /// Writes all of `chunk`; waits while the other side has no room.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] where the other side stopped the stream, [`StreamError::Lost`].
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        match &mut self.inner {
            SendInner::Quic(stream, _) => Ok(stream.write_chunk(chunk).await?),
            SendInner::Memory(line) => {
                line.send(Signal::Data(chunk)).await.map_err(|_| StreamError::Aborted(CANCELLED))
            }
        }
    }

    /// Writes `message` as a frame.
    ///
    /// # Errors
    /// As [`SendHalf::write`].
    pub async fn send_message<M: Message>(&mut self, message: &M) -> Result<(), StreamError> {
        let mut bytes = Vec::new();
        encode(message, &mut bytes)?;
        self.write(bytes.into()).await
    }

    /// Writes all of `chunk`, with no other such piece of this connection in between; waits for its turn, and for room.
    /// Where the future is dropped before it completes, what is not written is still in `chunk`.
    ///
    /// # Errors
    /// As [`SendHalf::write`].
    pub async fn write_in_turn(&mut self, chunk: &mut Bytes) -> Result<(), StreamError> {
        let backlog = match &self.inner {
            SendInner::Quic(_, backlog) => Some(Arc::clone(backlog)),
            SendInner::Memory(_) => None,
        };
        let _turn = match &backlog {
            Some(backlog) => backlog.turn().await,
            None => None,
        };
        while !chunk.is_empty() {
            self.write_some(chunk).await?;
        }
        Ok(())
    }

    /// Writes as much of `chunk` as there is room for, at least a byte, and takes it off. Nothing is lost where the
    /// future is dropped before it completes.
    ///
    /// # Errors
    /// As [`SendHalf::write`].
    pub async fn write_some(&mut self, chunk: &mut Bytes) -> Result<(), StreamError> {
        match &mut self.inner {
            SendInner::Quic(stream, backlog) => {
                backlog.follow_window();
                match backlog.pace() {
                    None => {
                        stream.write_chunks(std::slice::from_mut(chunk)).await?;
                    }
                    Some(pace) => {
                        let mut piece = chunk.slice(..chunk.len().min(pace.chunk_size()));
                        pace.acquire(piece.len()).await;
                        let written = stream.write_chunks(std::slice::from_mut(&mut piece)).await?;
                        chunk.advance(written.bytes);
                    }
                }
            }
            SendInner::Memory(line) => {
                let room = line.reserve().await.map_err(|_| StreamError::Aborted(CANCELLED))?;
                room.send(Signal::Data(std::mem::take(chunk)));
            }
        }
        Ok(())
    }

    /// Ends the stream as complete. What was written is still to be delivered: see [`SendHalf::wait_until_delivered`].
    pub fn finish(&mut self) {
        self.ended = true;
        match &mut self.inner {
            SendInner::Quic(stream, _) => {
                let _ = stream.finish(); // fails only where the stream is closed already
            }
            SendInner::Memory(line) => send_now(line, Signal::Finish),
        }
    }

    /// Waits until the other side has acknowledged everything up to the finish, or wants no more of it.
    pub async fn wait_until_delivered(&mut self) {
        if let SendInner::Quic(stream, _) = &mut self.inner {
            let _ = stream.stopped().await;
        }
    }

    /// Completes when the other side stops the stream or the connection is lost, and says which.
    pub fn stopped(&self) -> impl Future<Output = StreamError> + Send + 'static {
        let stopped = match &self.inner {
            SendInner::Quic(stream, _) => Ok(stream.stopped()),
            SendInner::Memory(line) => Err(line.clone()),
        };
        async move {
            match stopped {
                Ok(stream) => match stream.await {
                    Ok(Some(why)) => StreamError::Aborted(code(why)),
                    Ok(None) => std::future::pending().await, // all is acknowledged: nothing is left to stop
                    Err(quinn::StoppedError::ConnectionLost(e)) => StreamError::Lost(e.into()),
                    Err(quinn::StoppedError::ZeroRttRejected) => StreamError::Lost(ConnectionLost::ClosedLocally),
                },
                Err(line) => {
                    line.closed().await;
                    StreamError::Aborted(CANCELLED)
                }
            }
        }
    }

    /// Ends the stream as broken: the other side learns `why`, and that it is not complete.
    pub fn reset(&mut self, why: u32) {
        if !self.ended {
            self.reset_even_if_finished(why);
        }
    }

    /// [`SendHalf::reset`] also of a stream that is complete: what has not arrived of it does not arrive any more.
    pub fn reset_even_if_finished(&mut self, why: u32) {
        self.ended = true;
        match &mut self.inner {
            SendInner::Quic(stream, _) => {
                let _ = stream.reset(VarInt::from_u32(why));
            }
            SendInner::Memory(line) => send_now(line, Signal::Reset(why)),
        }
    }
}

/// Sends an end without waiting; where the line in memory is full, a task waits instead.
fn send_now(line: &mpsc::Sender<Signal>, signal: Signal) {
    if let Err(mpsc::error::TrySendError::Full(signal)) = line.try_send(signal) {
        let line = line.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { line.send(signal).await });
        }
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.reset(CANCELLED);
    }
}

/// The receiving half of a stream. Dropped before its end, it asks the other side to stop.
///
/// It takes bytes off the connection in any order, as they come, and puts them into order itself: see
/// [`super::reassembly`] for the reason. Whoever has one must go on reading while more may come: with up to 4 MiB unread
/// nothing happened on any line that was tried (2.4 MB are safe on every one: 1,024 gaps of two packets each), with
/// 16 MiB lines that lose a third closed the connection.
#[derive(Debug)]
pub struct RecvHalf {
    inner: RecvInner,
    order: Reassembly,
    /// Bytes that were read and not yet asked for.
    pending: Bytes,
    ended: bool,
}

#[derive(Debug)]
enum RecvInner {
    Quic(quinn::RecvStream),
    Memory(mpsc::Receiver<Signal>),
}

impl RecvHalf {
    /// What may be sent ahead on a stream of which nothing more is known.
    const AHEAD: usize = 512 * 1024;

    fn new(inner: RecvInner) -> Self {
        Self { inner, order: Reassembly::new(Self::AHEAD), pending: Bytes::new(), ended: false }
    }

    /// Lets at most `ahead` bytes wait for others before them: as many as the other side may send while the first of
    /// them is missing.
    pub fn set_reorder_window(&mut self, ahead: usize) {
        self.order.expect(ahead.max(Self::AHEAD));
    }

    /// Drops what waits for bytes before it: nothing more is read from here.
    pub fn discard_buffered(&mut self) {
        self.order.clear();
        self.pending = Bytes::new();
    }

    /// Bytes of memory in which something waits for bytes before it.
    pub fn reorder_memory(&self) -> usize {
        self.order.held()
    }

    /// The next bytes, as they come; `None` at the finish.
    ///
    /// # Errors
    /// [`StreamError::Aborted`] where the other side reset the stream, [`StreamError::TooFarAhead`], [`StreamError::Lost`].
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        if !self.pending.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.pending))));
        }
        if let Some(chunk) = self.order.ready() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        while !self.ended {
            let read = match &mut self.inner {
                RecvInner::Quic(stream) => ready!(pin!(stream.read_chunk(usize::MAX, false)).poll(cx))
                    .map(|chunk| chunk.map(|chunk| (chunk.offset, chunk.bytes)))
                    .map_err(StreamError::from),
                RecvInner::Memory(line) => match ready!(line.poll_recv(cx)) {
                    Some(Signal::Data(bytes)) => Ok(Some((self.order.next(), bytes))),
                    Some(Signal::Finish) => Ok(None),
                    Some(Signal::Reset(why)) => Err(StreamError::Aborted(why)),
                    None => Err(StreamError::Lost(ConnectionLost::ClosedLocally)),
                },
            };
            let Ok(Some((offset, chunk))) = read else {
                self.ended = true;
                return Poll::Ready(read.map(|_| None));
            };
            if let Some(chunk) = self.order.take(offset, chunk).map_err(|_| StreamError::TooFarAhead)? {
                return Poll::Ready(Ok(Some(chunk)));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Hands what has arrived to `take`, waiting for the first bytes of it; `false` at the finish. Nothing is lost where
    /// the future is dropped before it completes.
    ///
    /// # Errors
    /// As [`RecvHalf::read`].
    pub async fn read_available(&mut self, mut take: impl FnMut(&[u8])) -> Result<bool, StreamError> {
        /// Others have their turn after so many bytes.
        const TURN: usize = 512 * 1024;
        let mut taken = 0;
        poll_fn(|cx| {
            while taken < TURN {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(Some(chunk))) => {
                        taken += chunk.len();
                        take(&chunk);
                    }
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Ready(Ok(None)) | Poll::Pending if taken > 0 => break,
                    Poll::Ready(Ok(None)) => return Poll::Ready(Ok(false)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(true))
        })
        .await
    }

    /// Fills `buffer` up to `length` bytes. Where the future is dropped before it completes, what has arrived is in
    /// the buffer.
    ///
    /// # Errors
    /// As [`RecvHalf::read`], and [`StreamError::EndedEarly`] at an early finish.
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

    /// Drops bytes as they come, at most `most` of them, and says how many.
    ///
    /// # Errors
    /// As [`RecvHalf::fill`].
    pub async fn skip(&mut self, most: u64) -> Result<u64, StreamError> {
        let mut chunk = self.read().await?.ok_or(StreamError::EndedEarly)?;
        let skipped = usize::try_from(most).unwrap_or(usize::MAX).min(chunk.len());
        self.pending = chunk.split_off(skipped);
        Ok(skipped as u64)
    }

    /// The next frame, with a body of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`RecvHalf::fill`], and [`WireError::TooLong`].
    pub async fn read_frame(&mut self, limit: u32) -> Result<OwnedFrame, StreamError> {
        let mut bytes = Vec::with_capacity(HEADER);
        self.fill(&mut bytes, HEADER).await?;
        let (_, length) = read_header(bytes[..].try_into().map_err(|_| WireError::Malformed)?);
        if length > limit {
            return Err(WireError::TooLong.into());
        }
        self.fill(&mut bytes, HEADER + length as usize).await?;
        Ok(OwnedFrame(bytes.into()))
    }

    /// Asks the other side to stop, and says why.
    pub fn stop(&mut self, why: u32) {
        if self.ended {
            return;
        }
        self.ended = true;
        match &mut self.inner {
            RecvInner::Quic(stream) => {
                let _ = stream.stop(VarInt::from_u32(why));
            }
            RecvInner::Memory(line) => line.close(),
        }
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.stop(CANCELLED);
    }
}

impl From<quinn::RecvStream> for RecvHalf {
    fn from(stream: quinn::RecvStream) -> Self {
        Self::new(RecvInner::Quic(stream))
    }
}

/// A frame that owns its bytes.
#[derive(Debug, Clone)]
pub struct OwnedFrame(Bytes);

impl OwnedFrame {
    /// Its exact bytes, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Type and body.
    pub fn frame(&self) -> Frame<'_> {
        Frame { kind: self.0[0], body: &self.0.chunk()[HEADER..] }
    }
}

/// Two ends of a stream in memory.
pub fn duplex() -> [(SendHalf, RecvHalf); 2] {
    const CHUNKS: usize = 16;
    let half = || {
        let (tx, rx) = mpsc::channel(CHUNKS);
        (SendHalf { inner: SendInner::Memory(tx), ended: false }, RecvHalf::new(RecvInner::Memory(rx)))
    };
    let ((a_out, b_in), (b_out, a_in)) = (half(), half());
    [(a_out, a_in), (b_out, b_in)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::relay::IncomingDownload;

    #[tokio::test]
    async fn a_dropped_half_is_never_complete() {
        let [(mut out, _), (_, mut back)] = duplex();
        out.write(Bytes::from_static(b"half")).await.unwrap();
        drop(out);
        assert_eq!(back.read().await.unwrap().unwrap(), "half");
        assert_eq!(back.read().await, Err(StreamError::Aborted(CANCELLED)));
    }

    #[tokio::test]
    async fn frames_are_cut_out_of_any_chunks() {
        let [(mut out, _), (_, mut back)] = duplex();
        let mut bytes = Vec::new();
        encode(&IncomingDownload {}, &mut bytes).unwrap();
        bytes.extend_from_slice(b"rest");
        for b in bytes {
            out.write(Bytes::copy_from_slice(&[b])).await.unwrap();
        }
        out.finish();
        back.read_frame(0).await.unwrap().frame().decode::<IncomingDownload>().unwrap();
        let mut rest = Vec::new();
        back.fill(&mut rest, 4).await.unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(back.fill(&mut rest, 5).await, Err(StreamError::EndedEarly));
    }

    #[tokio::test]
    async fn a_frame_is_bounded_before_its_body_is_read() {
        let [(mut out, _), (_, mut back)] = duplex();
        out.write(Bytes::from_static(&[1, 0xff, 0xff, 0xff, 0xff])).await.unwrap();
        assert_eq!(back.read_frame(100).await.unwrap_err(), StreamError::Wire(WireError::TooLong));
    }
}
