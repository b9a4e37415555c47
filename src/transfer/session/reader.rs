//! The sealed bytes from the other end, over one stream after another.

use std::ops::Deref;

use super::SessionError;
use crate::{
    crypto::{OpenError, Opener, RECORD_HEADER, record},
    net::{BufferPool, PooledBuffer, RecvHalf, StreamError},
    transfer::session::resumable_stream::{FIRST, Fresh, ResumableStream},
};

/// The sealed bytes from the other end.
pub struct SessionReader {
    carrier: ResumableStream,
    half: Option<RecvHalf>,
    /// Which stream `half` is of, or was.
    stream: u64,
    /// Bytes that come once more.
    again: u64,
    credit: usize,
    buffers: BufferPool,
    /// What has arrived of the next record.
    arriving: PooledBuffer,
    received: u64,
    /// What calls itself the last record was handed out; the stream's finish is awaited.
    last: bool,
    ended: bool,
}

impl SessionReader {
    /// Takes records off `half`, and off whatever `carrier` has after it.
    pub fn new(carrier: &ResumableStream, half: RecvHalf) -> Self {
        let buffers = BufferPool::default();
        Self {
            carrier: carrier.clone(),
            half: Some(half),
            stream: FIRST,
            again: 0,
            credit: 0,
            arriving: buffers.get(),
            buffers,
            received: 0,
            last: false,
            ended: false,
        }
    }

    /// Lets the other end send at most `credit` bytes ahead of what has arrived in order.
    pub fn expect(&mut self, credit: u64) {
        self.credit = usize::try_from(credit).unwrap_or(usize::MAX);
        if let Some(half) = &mut self.half {
            half.set_reorder_window(self.credit);
        }
    }

    /// The next sealed record; `None` once the last record and the stream's finish are both here. Nothing is lost where
    /// the future is dropped before it completes. A record that calls itself the last is handed out before the finish
    /// is here: opening it tells whether that is true, and somebody who changed it must not make this wait.
    ///
    /// # Errors
    /// [`SessionError::Line`] for a cut (a finish without a last record is one), [`SessionError::Tampered`] for a header
    /// that no record has and for bytes behind the last record.
    pub async fn sealed(&mut self) -> Result<Option<PooledBuffer>, SessionError> {
        if self.ended {
            return Ok(None);
        }
        if self.last {
            self.finish().await?;
            return Ok(None);
        }
        self.fill(RECORD_HEADER).await?;
        let header = record::RecordHeader::parse(&self.arriving)?;
        self.fill(RECORD_HEADER + header.body_length()).await?;
        self.last = header.is_last();
        self.received += self.arriving.len() as u64;
        let mut next = self.buffers.get();
        next.clear();
        Ok(Some(std::mem::replace(&mut self.arriving, next)))
    }

    /// The next record, opened. The last one is given only when the stream has finished behind it.
    ///
    /// # Errors
    /// As [`SessionReader::sealed`], and [`SessionError::Tampered`] where it does not open.
    pub async fn opened(&mut self, opener: &mut Opener) -> Result<Option<OpenedRecord>, SessionError> {
        let Some(mut bytes) = self.sealed().await? else { return Ok(None) };
        opener.open(&mut bytes)?;
        if self.last {
            self.sealed().await?;
        }
        Ok(Some(OpenedRecord(bytes)))
    }

    /// Bytes of sealed records received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// What carries it.
    pub fn carrier(&self) -> ResumableStream {
        self.carrier.clone()
    }

    /// Fills the next record up to this length, from one stream after another.
    async fn fill(&mut self, length: usize) -> Result<(), SessionError> {
        while self.arriving.len() < length {
            let carrier = self.carrier.clone();
            let stream = self.next_stream().await?;
            let (half, arriving, again) = (&mut self.half, &mut self.arriving, &mut self.again);
            let Some(half) = half else { continue };
            let reading = async {
                skip(half, again).await?;
                half.fill(arriving, length).await
            };
            let read = tokio::select! {
                biased;
                read = reading => Some(read),
                () = carrier.replaced(stream) => None,
            };
            self.carrier.note_received(self.received + self.arriving.len() as u64);
            if !matches!(read, Some(Ok(()))) {
                self.leave(stream, read.and_then(Result::err))?;
            }
        }
        Ok(())
    }

    /// Waits for the finish behind the last record.
    async fn finish(&mut self) -> Result<(), SessionError> {
        while !self.ended {
            let carrier = self.carrier.clone();
            let stream = self.next_stream().await?;
            let (half, again) = (&mut self.half, &mut self.again);
            let Some(half) = half else { continue };
            let reading = async {
                skip(half, again).await?;
                half.read().await
            };
            let read = tokio::select! {
                biased;
                read = reading => Some(read),
                () = carrier.replaced(stream) => None,
            };
            match read {
                Some(Ok(Some(_))) => return Err(OpenError.into()),
                Some(Ok(None)) => self.ended = true,
                Some(Err(why)) => self.leave(stream, Some(why))?,
                None => self.leave(stream, None)?,
            }
        }
        Ok(())
    }

    /// Reads no more from a stream, which has failed or has another after it.
    fn leave(&mut self, stream: u64, failed: Option<StreamError>) -> Result<(), SessionError> {
        self.half = None;
        match failed {
            Some(why) => Ok(self.carrier.failed(stream, why)?),
            None => Ok(()),
        }
    }

    /// Sees to it that there is a stream to read from, and gives its number.
    async fn next_stream(&mut self) -> Result<u64, SessionError> {
        if self.half.is_none() {
            let Fresh { mut half, stream, from } = self.carrier.next_recv(self.stream).await?;
            half.set_reorder_window(self.credit);
            self.again = (self.received + self.arriving.len() as u64).saturating_sub(from);
            (self.half, self.stream) = (Some(half), stream);
        }
        Ok(self.stream)
    }
}

/// Reads over what comes once more.
async fn skip(half: &mut RecvHalf, again: &mut u64) -> Result<(), StreamError> {
    while *again > 0 {
        *again -= half.skip(*again).await?;
    }
    Ok(())
}

/// The plaintext of a record.
#[derive(Debug)]
pub struct OpenedRecord(PooledBuffer);

impl Deref for OpenedRecord {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        record::plaintext(&self.0)
    }
}
