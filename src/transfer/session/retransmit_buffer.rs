//! Sealed bytes that are stored until the other end has acknowledged them.
//!
//! After a stream has failed, exactly these bytes are sent again over the next one: nothing is sealed twice under one
//! nonce.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use crate::{net::StreamError, wire::WireError};

/// The most unacknowledged bytes: twice the largest send credit, and far more than a receiver ever sends.
const MAX_BUFFERED: u64 = 96 * 1024 * 1024;

/// The unacknowledged records of one direction. Offsets count the sealed bytes of that direction from 0.
pub(super) struct RetransmitBuffer {
    records: VecDeque<BufferedRecord>,
    /// The offset behind the last record.
    end: u64,
    acknowledged: u64,
    /// The offset behind the last bytes that were written to the current stream. Everything before it must reach this
    /// stream, even bytes that the other end has acknowledged meanwhile.
    written: u64,
    /// The number of the current stream.
    stream: u64,
    /// The unacknowledged bytes of all sessions of a share, if this session counts.
    share_total: Option<Arc<AtomicU64>>,
}

struct BufferedRecord {
    offset: u64,
    bytes: Bytes,
}

impl BufferedRecord {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl RetransmitBuffer {
    /// Creates an empty buffer for the stream with this number.
    pub(super) fn new(stream: u64) -> Self {
        Self { records: VecDeque::new(), end: 0, acknowledged: 0, written: 0, stream, share_total: None }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] if the other end acknowledges too little.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let record = BufferedRecord { offset: self.end, bytes };
        self.end = record.end();
        self.add_to_total(record.bytes.len());
        self.records.push_back(record);
        if self.end - self.acknowledged > MAX_BUFFERED { Err(StreamError::TooFarAhead) } else { Ok(()) }
    }

    /// Returns the bytes from offset `from` to the end of their record, to be written to this stream; no bytes at the
    /// end of the buffer.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if they are no longer stored: the other end acknowledged them before they were sent.
    pub(super) fn read(&mut self, stream: u64, from: u64) -> Result<Bytes, WireError> {
        let index = self.records.partition_point(|record| record.end() <= from);
        let bytes = match self.records.get(index) {
            _ if from == self.end => Bytes::new(),
            Some(record) if record.offset <= from => record.bytes.slice((from - record.offset) as usize..),
            _ => return Err(WireError::Malformed),
        };
        if self.stream == stream {
            self.written = self.written.max(from + bytes.len() as u64);
            self.release();
        }
        Ok(bytes)
    }

    /// Starts to write to another stream, from offset `from`.
    pub(super) fn switch_stream(&mut self, stream: u64, from: u64) {
        (self.stream, self.written) = (stream, from);
    }

    /// Whether the other end can have received exactly the bytes below this offset.
    pub(super) fn can_resend_from(&self, received: u64) -> bool {
        (self.acknowledged..=self.end).contains(&received)
    }

    /// Records that the other end has received everything below this offset.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if it was never sealed.
    pub(super) fn acknowledge(&mut self, received: u64) -> Result<(), WireError> {
        if received > self.end {
            return Err(WireError::Malformed);
        }
        self.acknowledged = self.acknowledged.max(received);
        self.release();
        Ok(())
    }

    /// Counts the bytes of this buffer in `share_total` from now on.
    pub(super) fn count_in(&mut self, share_total: &Arc<AtomicU64>) {
        self.share_total = Some(Arc::clone(share_total));
        self.add_to_total(self.buffered());
    }

    /// Drops the records that are acknowledged and written to the current stream.
    fn release(&mut self) {
        let released = self.acknowledged.min(self.written);
        while let Some(record) = self.records.front()
            && record.end() <= released
        {
            self.subtract_from_total(record.bytes.len());
            self.records.pop_front();
        }
    }

    fn buffered(&self) -> usize {
        self.records.iter().map(|record| record.bytes.len()).sum()
    }

    fn add_to_total(&self, length: usize) {
        if let Some(total) = &self.share_total {
            total.fetch_add(length as u64, Ordering::Relaxed);
        }
    }

    fn subtract_from_total(&self, length: usize) {
        if let Some(total) = &self.share_total {
            total.fetch_sub(length as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for RetransmitBuffer {
    fn drop(&mut self) {
        self.subtract_from_total(self.buffered());
    }
}
