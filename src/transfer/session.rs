//! The sealed stream of a confirmed session: records of whole frames, counted in both directions.

use std::ops::Deref;

use bytes::Bytes;

use crate::{
    crypto::{MAX_PLAINTEXT, OpenError, Opener, RECORD_HEADER, RECORD_OVERHEAD, Sealer, record},
    net::{Buffer, Buffers, LineError, RecvHalf, SendHalf},
    wire::{
        HEADER, Message, WireError,
        frame::{self, header},
        peer::{DATA, PAD},
    },
};

/// The longest sealed record that is sent. Two of them fit into the first credit, so that one can be sealed while the
/// other is on its way.
pub const RECORD: usize = 128 * 1024;

/// Why a session ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The line was cut.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A record does not open: somebody changed it, or dropped, repeated or moved one.
    #[error(transparent)]
    Tampered(#[from] OpenError),
    /// The other end, which has proved itself, said something that makes no sense.
    #[error("the other side broke the protocol: {0}")]
    Protocol(#[from] WireError),
}

/// A record that is being filled with frames. None of them is cut.
#[derive(Debug)]
pub struct Record {
    /// Room for the header and then the plaintext up to `end`. What lies behind it is whatever the buffer held before.
    bytes: Buffer,
    end: usize,
    /// A message before it has its place.
    scratch: Vec<u8>,
}

impl Record {
    /// An empty record for a message or two.
    pub fn new() -> Self {
        Self::within(Buffer::default())
    }

    /// An empty record in a buffer with room for [`RECORD`] bytes.
    pub fn within(mut bytes: Buffer) -> Self {
        if bytes.len() < RECORD_HEADER {
            bytes.resize(RECORD_HEADER, 0);
        }
        Self { bytes, end: RECORD_HEADER, scratch: Vec::new() }
    }

    /// A record with one message.
    ///
    /// # Errors
    /// [`WireError`] where it does not fit.
    pub fn of<M: Message>(message: &M) -> Result<Self, WireError> {
        let mut record = Self::new();
        record.push(message)?;
        Ok(record)
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`WireError::TooLong`] where it does not fit.
    pub fn push<M: Message>(&mut self, message: &M) -> Result<(), WireError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        frame::encode(message, &mut scratch)?;
        if self.plaintext() + scratch.len() > MAX_PLAINTEXT {
            return Err(WireError::TooLong);
        }
        self.grow(scratch.len()).copy_from_slice(&scratch);
        self.scratch = scratch;
        Ok(())
    }

    /// Appends a frame of file content: at most `most` bytes, as many as `fill` gives. Without any, no frame.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn push_data<E>(&mut self, most: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let start = self.end;
        let frame = self.grow(HEADER + most);
        let filled = fill(&mut frame[HEADER..])?.min(most);
        if filled == 0 {
            self.end = start;
        } else {
            frame[..HEADER].copy_from_slice(&header(DATA, filled as u32));
            self.end = start + HEADER + filled;
        }
        Ok(filled)
    }

    /// Fills up with zeros, so that the plaintext is the next power of two long and tells little about its content.
    pub fn pad(&mut self) {
        let zeros = (self.plaintext() + HEADER).next_power_of_two() - self.plaintext() - HEADER;
        let frame = self.grow(HEADER + zeros);
        frame.fill(0);
        frame[..HEADER].copy_from_slice(&header(PAD, zeros as u32));
    }

    /// How many bytes of body a further frame may have, so that the sealed record is at most [`RECORD`] bytes long.
    pub fn room(&self) -> usize {
        (RECORD - RECORD_OVERHEAD).saturating_sub(self.plaintext() + HEADER)
    }

    /// Whether nothing was put in.
    pub fn is_empty(&self) -> bool {
        self.plaintext() == 0
    }

    /// How long the record will be when it is sealed.
    pub fn sealed_length(&self) -> u64 {
        (self.plaintext() + RECORD_OVERHEAD) as u64
    }

    /// The frames that are in it.
    pub fn frames(&self) -> &[u8] {
        &self.bytes[RECORD_HEADER..self.end]
    }

    fn plaintext(&self) -> usize {
        self.end - RECORD_HEADER
    }

    /// Room for `length` bytes more.
    fn grow(&mut self, length: usize) -> &mut [u8] {
        let start = self.end;
        self.end += length;
        if self.bytes.len() < self.end {
            self.bytes.resize(self.end, 0);
        }
        &mut self.bytes[start..self.end]
    }

    fn seal(mut self, sealer: &mut Sealer, last: bool) -> Bytes {
        self.bytes.truncate(self.end);
        sealer.seal(&mut self.bytes, last);
        Bytes::from_owner(self.bytes)
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

/// The sealed stream to the other end.
pub struct Outgoing {
    half: SendHalf,
    sealer: Sealer,
    /// What is sealed and not written yet.
    leaving: Bytes,
    sealed: u64,
}

impl Outgoing {
    /// Seals what goes out on `half` from here on.
    pub fn new(half: SendHalf, sealer: Sealer) -> Self {
        Self { half, sealer, leaving: Bytes::new(), sealed: 0 }
    }

    /// Seals a record and sends it. Where the future is dropped before it completes, the rest of the record stays here
    /// and goes out before the next one.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn send(&mut self, record: Record) -> Result<(), LineError> {
        self.flush().await?;
        self.seal(record, false);
        self.flush().await
    }

    /// Seals the last record, sends it and finishes the stream.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn send_last(mut self, record: Record) -> Result<SendHalf, LineError> {
        self.flush().await?;
        self.seal(record, true);
        self.flush().await?;
        self.half.finish();
        Ok(self.half)
    }

    /// Bytes of records sealed so far: the offset of the next record.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    fn seal(&mut self, record: Record, last: bool) {
        self.leaving = record.seal(&mut self.sealer, last);
        self.sealed += self.leaving.len() as u64;
    }

    async fn flush(&mut self) -> Result<(), LineError> {
        if self.leaving.is_empty() { Ok(()) } else { self.half.write_in_turn(&mut self.leaving).await }
    }
}

/// The sealed stream from the other end.
pub struct Incoming {
    half: RecvHalf,
    buffers: Buffers,
    /// What has arrived of the next record.
    arriving: Buffer,
    received: u64,
    /// What calls itself the last record was handed out; the stream's finish is awaited.
    last: bool,
    ended: bool,
}

impl Incoming {
    /// Takes records off `half` from here on.
    pub fn new(half: RecvHalf) -> Self {
        let buffers = Buffers::default();
        Self { half, arriving: buffers.take(), buffers, received: 0, last: false, ended: false }
    }

    /// Lets the other end send at most `credit` bytes ahead of what has arrived in order.
    pub fn expect(&mut self, credit: u64) {
        self.half.expect(usize::try_from(credit).unwrap_or(usize::MAX));
    }

    /// The next sealed record; `None` once the last record and the stream's finish are both here. Nothing is lost where
    /// the future is dropped before it completes. A record that calls itself the last is handed out before the finish
    /// is here: opening it tells whether that is true, and somebody who changed it must not make this wait.
    ///
    /// # Errors
    /// [`SessionError::Line`] for a cut (a finish without a last record is one), [`SessionError::Tampered`] for a header
    /// that no record has and for bytes behind the last record.
    pub async fn sealed(&mut self) -> Result<Option<Buffer>, SessionError> {
        if self.ended {
            return Ok(None);
        }
        if self.last {
            return match self.half.read().await? {
                Some(_) => Err(OpenError.into()),
                None => {
                    self.ended = true;
                    Ok(None)
                }
            };
        }
        self.half.fill(&mut self.arriving, RECORD_HEADER).await?;
        let header = record::Header::parse(&self.arriving)?;
        self.half.fill(&mut self.arriving, RECORD_HEADER + header.body_length()).await?;
        self.last = header.is_last();
        self.received += self.arriving.len() as u64;
        let mut next = self.buffers.take();
        next.clear();
        Ok(Some(std::mem::replace(&mut self.arriving, next)))
    }

    /// The next record, opened. The last one is given only when the stream has finished behind it.
    ///
    /// # Errors
    /// As [`Incoming::sealed`], and [`SessionError::Tampered`] where it does not open.
    pub async fn opened(&mut self, opener: &mut Opener) -> Result<Option<Opened>, SessionError> {
        let Some(mut bytes) = self.sealed().await? else { return Ok(None) };
        opener.open(&mut bytes)?;
        if self.last {
            self.sealed().await?;
        }
        Ok(Some(Opened(bytes)))
    }

    /// Bytes of sealed records received so far.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// The plaintext of a record.
#[derive(Debug)]
pub struct Opened(Buffer);

impl Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        record::plaintext(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, peer::DoneAck};

    #[test]
    fn a_padded_record_hides_its_length() {
        for length in [0usize, 1, 100, 5_000] {
            let mut record = Record::new();
            record.push(&DoneAck {}).unwrap();
            record
                .push_data(length, |b| {
                    b.fill(7);
                    Ok::<_, ()>(b.len())
                })
                .unwrap();
            record.pad();
            assert!(record.plaintext().is_power_of_two(), "{length}");
            let mut rest = record.frames();
            let mut last = 0;
            while !rest.is_empty() {
                last = Frame::split(&mut rest).unwrap().kind;
            }
            assert_eq!(last, PAD);
        }
    }

    #[test]
    fn a_full_record_has_the_agreed_length() {
        let mut record = Record::new();
        let room = record.room();
        record.push_data(room, |b| Ok::<_, ()>(b.len())).unwrap();
        assert_eq!(record.sealed_length(), RECORD as u64);
        assert_eq!(record.room(), 0);
    }

    #[test]
    fn nothing_of_what_a_buffer_held_before_is_in_a_record() {
        let stock = Buffers::default();
        stock.take().resize(RECORD, 0xee);
        let mut record = Record::within(stock.take());
        assert!(record.is_empty());
        record.push(&DoneAck {}).unwrap();
        let ten = |body: &mut [u8]| {
            body[..10].fill(1);
            Ok::<_, ()>(10)
        };
        record.push_data(1_000, ten).unwrap();
        record.push_data(1_000, |_| Ok::<_, ()>(0)).unwrap();
        record.pad();
        assert!(!record.frames().contains(&0xee));
        assert_eq!(record.frames().len(), 32);
    }
}
