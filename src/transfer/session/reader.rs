//! Receives sealed records, from one stream after another.

use std::ops::Deref;

use super::{
    error::SessionError,
    resumable_stream::{FIRST_STREAM, NewHalf, ResumableStream},
};
use crate::{
    crypto::{OpenError, Opener, RECORD_HEADER, RecordHeader, RecordKind, plaintext},
    net::{BufferPool, PooledBuffer, RecvHalf, StreamError},
};

/// The minimum reorder window. It covers the messages of a receiver: a request, chaining values and credit.
const MIN_REORDER_WINDOW: u64 = 512 * 1024;

/// Receives the sealed records of the other end.
pub struct SessionReader {
    stream: ResumableStream,
    half: Option<RecvHalf>,
    /// The number of the stream that `half` belongs to, or belonged to.
    number: u64,
    /// Bytes to skip on this stream, because they have already arrived on an earlier one.
    repeated: u64,
    reorder_window: usize,
    buffers: BufferPool,
    /// The part of the next record that has arrived.
    arriving: PooledBuffer,
    /// Bytes of the records returned so far.
    received: u64,
    /// Whether a record that claims to be the last was returned. Only the end of the stream may follow.
    last_returned: bool,
    /// The last record, until the end of the stream follows it.
    opened_last: Option<OpenedRecord>,
    /// Whether the end of the stream has arrived behind the last record.
    ended: bool,
}

impl SessionReader {
    /// Reads from `half`, and then from the streams that replace it in `stream`.
    pub fn new(stream: &ResumableStream, half: RecvHalf) -> Self {
        let buffers = BufferPool::wiping(); // records are decrypted in place
        let mut reader = Self {
            stream: stream.clone(),
            half: Some(half),
            number: FIRST_STREAM,
            repeated: 0,
            reorder_window: 0,
            arriving: buffers.get(),
            buffers,
            received: 0,
            last_returned: false,
            opened_last: None,
            ended: false,
        };
        reader.set_reorder_window(MIN_REORDER_WINDOW);
        reader
    }

    /// Lets the other end send at most `bytes` bytes beyond the bytes that have arrived in order.
    pub fn set_reorder_window(&mut self, bytes: u64) {
        self.reorder_window = usize::try_from(bytes.max(MIN_REORDER_WINDOW)).unwrap_or(usize::MAX);
        if let Some(half) = &mut self.half {
            half.set_reorder_window(self.reorder_window);
        }
    }

    /// Returns the next sealed record; `None` once the last record and the end of the stream have arrived.
    ///
    /// A record that claims to be the last is returned before the end of the stream arrives. Opening it shows whether
    /// the claim is true, and an attacker that has changed it cannot make the reader wait.
    ///
    /// # Errors
    /// [`SessionError::Stream`] if the stream fails or ends without a last record; [`SessionError::Tampered`] for an
    /// invalid record header and for bytes behind the last record.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is lost: the reader stores the part of a record that has
    /// arrived, and the next call continues there.
    pub async fn read_sealed(&mut self) -> Result<Option<PooledBuffer>, SessionError> {
        if self.ended {
            return Ok(None);
        }
        if self.last_returned {
            self.read_end().await?;
            return Ok(None);
        }
        self.fill(RECORD_HEADER).await?;
        let header = RecordHeader::parse(&self.arriving)?;
        self.fill(RECORD_HEADER + header.body_length()).await?;
        self.last_returned = header.kind() == RecordKind::Last;
        self.received += self.arriving.len() as u64;
        let mut next = self.buffers.get();
        next.clear();
        Ok(Some(std::mem::replace(&mut self.arriving, next)))
    }

    /// Returns the next record, opened; `None` after the last one. The last record is returned only when the end of the
    /// stream has arrived behind it.
    ///
    /// # Errors
    /// Those of [`SessionReader::read_sealed`], and [`SessionError::Tampered`] if the record does not open.
    ///
    /// # Cancel safety
    /// As for [`SessionReader::read_sealed`]. The reader also stores the last record until the end of the stream
    /// arrives.
    pub async fn read_record(&mut self, opener: &mut Opener) -> Result<Option<OpenedRecord>, SessionError> {
        if self.opened_last.is_none() {
            let Some(mut bytes) = self.read_sealed().await? else { return Ok(None) };
            opener.open(&mut bytes)?;
            if !self.last_returned {
                return Ok(Some(OpenedRecord(bytes)));
            }
            self.opened_last = Some(OpenedRecord(bytes));
        }
        self.read_end().await?;
        Ok(self.opened_last.take())
    }

    /// Returns the number of bytes of the sealed records received so far.
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Returns the stream that the records arrive on.
    pub fn stream(&self) -> ResumableStream {
        self.stream.clone()
    }

    /// Reads until `length` bytes of the next record have arrived.
    async fn fill(&mut self, length: usize) -> Result<(), SessionError> {
        while self.arriving.len() < length {
            self.read_from_stream(async |half, arriving| half.fill(arriving, length).await).await?;
        }
        Ok(())
    }

    /// Reads the end of the stream behind the last record.
    async fn read_end(&mut self) -> Result<(), SessionError> {
        while !self.ended {
            match self.read_from_stream(async |half, _| half.read().await).await? {
                Some(Some(_)) => return Err(OpenError.into()),
                Some(None) => {
                    self.ended = true;
                    self.half = None; // everything was delivered
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Skips the repeated bytes of the current stream and calls `read` on it. Returns `None` if the stream has failed
    /// or was replaced meanwhile; the next call uses the stream that replaces it.
    async fn read_from_stream<T>(
        &mut self,
        read: impl AsyncFnOnce(&mut RecvHalf, &mut PooledBuffer) -> Result<T, StreamError>,
    ) -> Result<Option<T>, SessionError> {
        self.ensure_half().await?;
        let Some(half) = &mut self.half else { return Ok(None) };
        let reading = async {
            skip(half, &mut self.repeated).await?;
            read(half, &mut self.arriving).await
        };
        let result = tokio::select! {
            biased;
            result = reading => Some(result),
            () = self.stream.wait_until_replaced(self.number) => None,
        };
        self.stream.set_received_bytes(self.received + self.arriving.len() as u64);
        match result {
            Some(Ok(value)) => return Ok(Some(value)),
            Some(Err(why)) => {
                self.half = None;
                self.stream.report_failure(self.number, why)?;
            }
            None => self.half = None,
        }
        Ok(None)
    }

    /// Waits for the next stream if the current one has failed.
    async fn ensure_half(&mut self) -> Result<(), SessionError> {
        if self.half.is_none() {
            let NewHalf { mut half, number, offset } = self.stream.next_recv(self.number).await?;
            half.set_reorder_window(self.reorder_window);
            self.repeated = (self.received + self.arriving.len() as u64).saturating_sub(offset);
            (self.half, self.number) = (Some(half), number);
        }
        Ok(())
    }
}

/// Reads and discards `repeated` bytes.
async fn skip(half: &mut RecvHalf, repeated: &mut u64) -> Result<(), StreamError> {
    while *repeated > 0 {
        *repeated -= half.skip(*repeated).await?;
    }
    Ok(())
}

/// The plaintext of a record.
#[derive(Debug)]
pub struct OpenedRecord(PooledBuffer);

impl Deref for OpenedRecord {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        plaintext(&self.0)
    }
}
