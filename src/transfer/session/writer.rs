//! Seals records and sends them, over one stream after another.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    record::RecordBuilder,
    resumable_stream::{FIRST_STREAM, NewHalf, ResumableStream},
};
use crate::{
    background::with_background,
    crypto::{RecordKind, Sealer},
    net::{SendHalf, StreamError},
};

/// Seals records and sends them to the other end.
pub struct SessionWriter {
    stream: ResumableStream,
    half: Option<SendHalf>,
    /// The number of the stream that `half` belongs to, or belonged to.
    number: u64,
    sealer: Sealer,
    /// The rest of a sealed record that is being written to this stream.
    unwritten: Bytes,
    /// The offset behind `unwritten`.
    offset: u64,
    /// The offset behind the last sealed record.
    sealed: u64,
    /// Whether the last record is sealed.
    pub(super) ended: bool,
}

impl SessionWriter {
    /// Writes to `half`, and then to the streams that replace it in `stream`.
    pub fn new(stream: &ResumableStream, half: SendHalf, sealer: Sealer) -> Self {
        Self {
            stream: stream.clone(),
            half: Some(half),
            number: FIRST_STREAM,
            sealer,
            unwritten: Bytes::new(),
            offset: 0,
            sealed: 0,
            ended: false,
        }
    }

    /// Seals a record and sends it.
    ///
    /// # Errors
    /// [`StreamError`] if the stream has failed and no other replaces it.
    ///
    /// # Cancel safety
    /// If the future is dropped while earlier records are being written, the record is discarded and never sealed. If
    /// it is dropped after that, the record is sealed, and the next call sends the rest of it first.
    /// [`sealed_bytes`](Self::sealed_bytes) distinguishes the two.
    pub async fn send(&mut self, record: RecordBuilder) -> Result<(), StreamError> {
        self.flush().await?;
        self.seal(record, RecordKind::Data)?;
        self.flush().await
    }

    /// Seals a record without sending it. The next call of another method, including
    /// [`flush_while`](Self::flush_while), sends it.
    ///
    /// A reader uses this to reply without waiting for a peer that does not read.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] if the other end acknowledges too little.
    pub fn queue(&mut self, record: RecordBuilder) -> Result<(), StreamError> {
        self.seal(record, RecordKind::Data)
    }

    /// Seals the last record. The returned writer sends it, and the end of the stream behind it.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] if the other end acknowledges too little.
    pub fn close(mut self, last: RecordBuilder) -> Result<ClosingWriter, StreamError> {
        self.seal(last, RecordKind::Last)?;
        self.ended = true;
        Ok(ClosingWriter(self))
    }

    /// Resets the stream with code `why`, even if it is finished. The next hop receives `why` before it delivers the
    /// bytes that it still holds.
    pub fn reset(mut self, why: u32) {
        if let Some(half) = &mut self.half {
            half.reset_even_if_finished(why);
        }
    }

    /// Returns the number of bytes sealed so far, which is the offset of the next record.
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed
    }

    /// Waits for `future`. Meanwhile, whenever another stream replaces the current one, sends the unacknowledged bytes
    /// again.
    ///
    /// # Cancel safety
    /// If the returned future is dropped before it completes, `future` is dropped with it. No sealed byte is lost: the
    /// next call continues to send.
    pub async fn flush_while<T>(&mut self, future: impl Future<Output = T>) -> T {
        let flushing = async {
            while self.flush().await.is_ok() {
                self.stream.wait_until_replaced(self.number).await;
                self.half = None;
            }
            // The reader reports the reason.
        };
        with_background(future, flushing).await
    }

    pub(super) fn seal(&mut self, record: RecordBuilder, kind: RecordKind) -> Result<(), StreamError> {
        let record = record.seal(&mut self.sealer, kind);
        self.sealed += record.len() as u64;
        self.stream.push_record(record)
    }

    /// Writes all sealed bytes that the current stream lacks, and waits for other streams if it fails. Finishes the
    /// stream behind the last record.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the next call continues with the unwritten bytes.
    pub(super) async fn flush(&mut self) -> Result<(), StreamError> {
        loop {
            let Some(half) = &mut self.half else {
                let NewHalf { half, number, offset } = self.stream.next_send(self.number).await?;
                (self.half, self.number) = (Some(half), number);
                (self.unwritten, self.offset) = (Bytes::new(), offset);
                continue;
            };
            if self.unwritten.is_empty() {
                let read = self.stream.read_sealed(self.number, self.offset);
                self.unwritten = read.inspect_err(|e| self.stream.close((*e).into()))?;
                self.offset += self.unwritten.len() as u64;
            }
            if self.unwritten.is_empty() {
                if self.ended {
                    half.finish();
                }
                return Ok(());
            }
            let written = tokio::select! {
                biased;
                written = half.write_in_turn(&mut self.unwritten) => written,
                () = self.stream.wait_until_replaced(self.number) => {
                    self.half = None;
                    continue;
                }
            };
            if let Err(why) = written {
                self.leave_stream(why).await?;
            }
        }
    }

    /// Leaves a stream on which a write has failed.
    async fn leave_stream(&mut self, why: StreamError) -> Result<(), StreamError> {
        /// A peer that stops this half gives its reason on the other half, which may arrive this much later.
        const REASON_TIMEOUT: Duration = Duration::from_secs(2);
        let _ = timeout(REASON_TIMEOUT, self.stream.wait_until_replaced(self.number)).await; // else `why` is the reason
        self.half = None;
        self.stream.report_failure(self.number, why)
    }

    /// Writes everything, and waits until the next hop has acknowledged it up to the end of the stream, or has stopped
    /// the stream.
    async fn deliver(&mut self) {
        while self.flush().await.is_ok() {
            let Some(half) = &mut self.half else { continue };
            tokio::select! {
                () = half.wait_until_delivered() => return,
                () = self.stream.wait_until_replaced(self.number) => self.half = None,
            }
        }
    }
}

/// A writer whose last record is sealed.
pub struct ClosingWriter(SessionWriter);

impl ClosingWriter {
    /// See [`SessionWriter::flush_while`].
    pub async fn flush_while<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.0.flush_while(future).await
    }

    /// Writes everything, and waits until the next hop has acknowledged all of it or has stopped the stream.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the next call of this method or of
    /// [`flush_while`](Self::flush_while) continues to send.
    pub async fn deliver(&mut self) {
        self.0.deliver().await;
    }

    /// See [`SessionWriter::reset`].
    pub fn reset(self, why: u32) {
        self.0.reset(why);
    }
}
