//! Builds a record before it is sealed.

use bytes::Bytes;

use crate::{
    crypto::{MAX_PLAINTEXT, RECORD_HEADER, RECORD_OVERHEAD, RecordKind, Sealer},
    net::PooledBuffer,
    wire::{
        HEADER, Message, WireError,
        frame::{self, header},
        peer::{COMPRESSED, DATA, MAX_EXPANSION, PAD},
    },
};

/// The longest sealed record that is sent, in bytes. The initial credit covers two of them, so that one can be sealed
/// while the other is in flight.
pub const MAX_RECORD: usize = 128 * 1024;

/// A record that is being filled with whole frames.
#[derive(Debug)]
pub struct RecordBuilder {
    /// Room for the header, then the plaintext up to `end`. The bytes behind `end` are left over from an earlier use of
    /// the buffer.
    bytes: PooledBuffer,
    end: usize,
    /// Encodes a message before its length is known to fit.
    scratch: Vec<u8>,
}

impl RecordBuilder {
    /// Creates an empty record for one or two messages.
    pub fn new() -> Self {
        Self::with_buffer(PooledBuffer::default())
    }

    /// Creates an empty record in `bytes`, whose content is ignored and whose capacity is reused.
    pub fn with_buffer(mut bytes: PooledBuffer) -> Self {
        if bytes.len() < RECORD_HEADER {
            bytes.resize(RECORD_HEADER, 0);
        }
        Self { bytes, end: RECORD_HEADER, scratch: Vec::new() }
    }

    /// Creates a record with one message.
    ///
    /// # Errors
    /// [`WireError`] if the message does not fit.
    pub fn from_message<M: Message>(message: &M) -> Result<Self, WireError> {
        let mut record = Self::new();
        record.push(message)?;
        Ok(record)
    }

    /// Creates a record whose frames, `length` bytes of them, are compressed to `zstd`. Its buffer is as long as the
    /// sealed record: a buffer of the pool would take 128 KiB until the record is acknowledged.
    pub fn compressed(length: usize, zstd: &[u8]) -> Self {
        let body = [&(length as u32).to_be_bytes(), zstd].concat();
        let least = length.div_ceil(MAX_EXPANSION);
        let mut bytes = PooledBuffer::default();
        bytes.reserve_exact(RECORD_OVERHEAD + (HEADER + body.len()).max(least + HEADER));
        let mut record = Self::with_buffer(bytes);
        let frame = record.grow(HEADER + body.len());
        frame[..HEADER].copy_from_slice(&header(COMPRESSED, body.len() as u32));
        frame[HEADER..].copy_from_slice(&body);
        if record.plaintext_length() < least {
            record.pad_to(least.max(record.plaintext_length() + HEADER));
        }
        record
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if the message does not fit.
    pub fn push<M: Message>(&mut self, message: &M) -> Result<(), WireError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        frame::encode(message, &mut scratch)?;
        if self.plaintext_length() + scratch.len() > MAX_PLAINTEXT {
            return Err(WireError::TooLong);
        }
        self.grow(scratch.len()).copy_from_slice(&scratch);
        self.scratch = scratch;
        Ok(())
    }

    /// Appends a frame of file content. `fill` writes up to `max_length` bytes into its argument and returns how many;
    /// if it writes none, no frame is appended.
    ///
    /// # Errors
    /// Those of `fill`; no frame is appended.
    pub fn push_data<E>(
        &mut self,
        max_length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let start = self.end;
        let frame = self.grow(HEADER + max_length);
        let filled = match fill(&mut frame[HEADER..]) {
            Ok(filled) => filled.min(max_length),
            Err(e) => {
                self.end = start;
                return Err(e);
            }
        };
        if filled == 0 {
            self.end = start;
        } else {
            frame[..HEADER].copy_from_slice(&header(DATA, filled as u32));
            self.end = start + HEADER + filled;
        }
        Ok(filled)
    }

    /// Appends a frame of zeros so that the length of the plaintext is the next power of two, which hides its exact
    /// length.
    pub fn pad(&mut self) {
        self.pad_to((self.plaintext_length() + HEADER).next_power_of_two());
    }

    /// Appends a frame of zeros so that the plaintext has this length. There must be room for the header of the frame.
    fn pad_to(&mut self, length: usize) {
        let frame = self.grow(length - self.plaintext_length());
        frame.fill(0);
        let zeros = frame.len() - HEADER;
        frame[..HEADER].copy_from_slice(&header(PAD, zeros as u32));
    }

    /// Returns the longest body that another frame may have, so that the sealed record is at most [`MAX_RECORD`] bytes
    /// long.
    pub fn remaining(&self) -> usize {
        (MAX_RECORD - RECORD_OVERHEAD).saturating_sub(self.plaintext_length() + HEADER)
    }

    /// Whether the record contains no frame.
    pub fn is_empty(&self) -> bool {
        self.plaintext_length() == 0
    }

    /// Returns the length of the record after it is sealed.
    pub fn sealed_length(&self) -> u64 {
        (self.plaintext_length() + RECORD_OVERHEAD) as u64
    }

    /// Returns the frames appended so far.
    pub fn frames(&self) -> &[u8] {
        &self.bytes[RECORD_HEADER..self.end]
    }

    pub(super) fn plaintext_length(&self) -> usize {
        self.end - RECORD_HEADER
    }

    pub(super) fn seal(mut self, sealer: &mut Sealer, kind: RecordKind) -> Bytes {
        self.bytes.truncate(self.end);
        sealer.seal(&mut self.bytes, kind);
        Bytes::from_owner(self.bytes)
    }

    /// Extends the plaintext by `length` bytes of any content and returns them.
    fn grow(&mut self, length: usize) -> &mut [u8] {
        let start = self.end;
        self.end += length;
        if self.bytes.len() < self.end {
            self.bytes.resize(self.end, 0);
        }
        &mut self.bytes[start..self.end]
    }
}

impl Default for RecordBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::BufferPool,
        wire::{Frame, peer::DoneAck},
    };

    #[test]
    fn padding_hides_the_length_of_a_record() {
        for length in [0usize, 1, 100, 5_000] {
            let mut record = RecordBuilder::new();
            record.push(&DoneAck {}).unwrap();
            let sevens = |body: &mut [u8]| {
                body.fill(7);
                Ok::<_, ()>(body.len())
            };
            record.push_data(length, sevens).unwrap();
            record.pad();
            assert!(record.plaintext_length().is_power_of_two(), "{length}");
            let mut rest = record.frames();
            let mut last = 0;
            while !rest.is_empty() {
                last = Frame::split(&mut rest).unwrap().kind;
            }
            assert_eq!(last, PAD);
        }
    }

    #[test]
    fn a_compressed_record_has_its_golden_bytes() {
        let frames = |length| RecordBuilder::compressed(length, b"zstd").frames().to_vec();
        assert_eq!(frames(300), b"\x52\0\0\0\x08\0\0\x01\x2czstd");
        assert_eq!(frames(5_000), b"\x52\0\0\0\x08\0\0\x13\x88zstd\xff\0\0\0\x02\0\0", "padded to a 256th");
    }

    #[test]
    fn a_full_record_has_the_maximum_length() {
        let mut record = RecordBuilder::new();
        let remaining = record.remaining();
        record.push_data(remaining, |b| Ok::<_, ()>(b.len())).unwrap();
        assert_eq!(record.sealed_length(), MAX_RECORD as u64);
        assert_eq!(record.remaining(), 0);
    }

    #[test]
    fn old_content_of_a_pooled_buffer_is_not_in_the_record() {
        let pool = BufferPool::default();
        pool.get().resize(MAX_RECORD, 0xee);
        let mut record = RecordBuilder::with_buffer(pool.get());
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
