//! A record before it is sealed.

use bytes::Bytes;

use crate::{
    crypto::{MAX_PLAINTEXT, RECORD_HEADER, RECORD_OVERHEAD, Sealer},
    net::PooledBuffer,
    transfer::session::RECORD,
    wire::{
        HEADER, Message, WireError,
        frame::{self, header},
        peer::{DATA, PAD},
    },
};

/// A record that is being filled with frames. None of them is cut.
#[derive(Debug)]
pub struct RecordBuilder {
    /// Room for the header and then the plaintext up to `end`. What lies behind it is whatever the buffer held before.
    bytes: PooledBuffer,
    end: usize,
    /// A message before it has its place.
    scratch: Vec<u8>,
}

impl RecordBuilder {
    /// An empty record for a message or two.
    pub fn new() -> Self {
        Self::within(PooledBuffer::default())
    }

    /// An empty record in a buffer with room for [`RECORD`] bytes.
    pub fn within(mut bytes: PooledBuffer) -> Self {
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

    pub(super) fn plaintext(&self) -> usize {
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

    pub(super) fn seal(mut self, sealer: &mut Sealer, last: bool) -> Bytes {
        self.bytes.truncate(self.end);
        sealer.seal(&mut self.bytes, last);
        Bytes::from_owner(self.bytes)
    }
}

impl Default for RecordBuilder {
    fn default() -> Self {
        Self::new()
    }
}
