//! The byte stream under a session, which outlives any single QUIC stream.
//!
//! Each direction counts its sealed bytes and keeps those that the other end has not acknowledged. When a stream fails
//! ([`ResumableStream::wait_until_broken`]), its owner attaches another one ([`ResumableStream::attach`]), and the same
//! bytes are sent again from the offset that the other end reports. Nothing is sealed or hashed twice. A dead
//! connection, a restarted relay and a change of networks are the same event here: the stream ended.
//!
//! Until [`ResumableStream::enable_reattach`] is called, the end of the stream is the end of the session: a session
//! that is not confirmed is not stored.

use std::sync::{
    Arc, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::retransmit_buffer::RetransmitBuffer;
use crate::{
    net::{RecvHalf, SendHalf, StreamError},
    sync::Mutex,
    wire::{
        WireError,
        reset_code::{ENDED, PROTOCOL_ERROR},
    },
};

/// The number of the first stream.
pub(super) const FIRST_STREAM: u64 = 1;

/// The current stream of a session, shared by both directions and by the task that reattaches. Clones share one.
#[derive(Clone)]
pub struct ResumableStream(Arc<SharedStream>);

struct SharedStream {
    state: watch::Sender<StreamState>,
    /// The halves of the current stream, until each direction takes its own.
    new_halves: Mutex<NewHalves>,
    retransmit: Mutex<RetransmitBuffer>,
    /// The offset below which all bytes of the other end have arrived.
    received: AtomicU64,
}

#[derive(Debug, Clone)]
struct StreamState {
    /// The number of the current stream; the first is [`FIRST_STREAM`].
    number: u64,
    /// Why the current stream is broken, if it is.
    broken: Option<StreamError>,
    /// Whether the session waits for another stream when one breaks.
    can_reattach: bool,
    /// Why no other stream will be attached, if that is so.
    closed: Option<StreamError>,
}

/// One half of an attached stream.
pub(super) struct NewHalf<H> {
    pub(super) half: H,
    /// The number of its stream.
    pub(super) number: u64,
    /// The offset of the first byte on it.
    pub(super) offset: u64,
}

#[derive(Default)]
struct NewHalves {
    send: Option<NewHalf<SendHalf>>,
    recv: Option<NewHalf<RecvHalf>>,
}

impl ResumableStream {
    /// Creates the state of a session whose reader and writer have the halves of the first stream.
    pub fn new() -> Self {
        let state = StreamState { number: FIRST_STREAM, broken: None, can_reattach: false, closed: None };
        Self(Arc::new(SharedStream {
            state: watch::Sender::new(state),
            new_halves: Mutex::default(),
            retransmit: Mutex::new(RetransmitBuffer::new(FIRST_STREAM)),
            received: AtomicU64::new(0),
        }))
    }

    /// Makes the session wait for another stream when one breaks.
    pub fn enable_reattach(&self) {
        self.0.state.send_modify(|state| state.can_reattach = true);
    }

    /// Makes the end of the current stream the end of the session: the other end has sent its last record.
    pub(crate) fn disable_reattach(&self) {
        self.0.state.send_modify(|state| state.can_reattach = false);
    }

    /// Replaces the current stream. The other end reports that our bytes below `their_received` have arrived, and we
    /// have reported the same of its bytes below `our_received`.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if `their_received` exceeds the sealed bytes, or is less than an earlier
    /// acknowledgement.
    pub fn attach(
        &self,
        send: SendHalf,
        recv: RecvHalf,
        their_received: u64,
        our_received: u64,
    ) -> Result<(), WireError> {
        if !self.can_resend_from(their_received) {
            return Err(WireError::Malformed);
        }
        self.acknowledge(their_received)?;
        let number = self.0.state.borrow().number + 1;
        self.lock_retransmit().switch_stream(number, their_received);
        let mut new_halves = self.0.new_halves.lock();
        self.0.state.send_modify(|state| {
            state.number += 1;
            state.broken = None;
            let number = state.number;
            new_halves.send = Some(NewHalf { half: send, number, offset: their_received });
            new_halves.recv = Some(NewHalf { half: recv, number, offset: our_received });
        });
        Ok(())
    }

    /// Whether the other end can have received exactly our bytes below this offset.
    pub fn can_resend_from(&self, received: u64) -> bool {
        self.lock_retransmit().can_resend_from(received)
    }

    /// Records that the other end has received our bytes below this offset; they are released.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if they were never sealed.
    pub fn acknowledge(&self, received: u64) -> Result<(), WireError> {
        self.lock_retransmit().acknowledge(received)
    }

    /// Counts the unacknowledged bytes of this session in `share_total` from now on.
    pub(crate) fn count_unacknowledged_in(&self, share_total: &Arc<AtomicU64>) {
        self.lock_retransmit().count_in(share_total);
    }

    /// Returns the offset below which all bytes of the other end have arrived.
    pub fn received_bytes(&self) -> u64 {
        self.0.received.load(Ordering::Acquire)
    }

    /// Waits until the current stream is broken, and returns the reason.
    pub async fn wait_until_broken(&self) -> StreamError {
        let mut states = self.0.state.subscribe();
        match states.wait_for(|state| state.broken.is_some()).await {
            Ok(state) => state.broken.clone().unwrap_or(StreamError::EndedEarly),
            Err(_) => StreamError::EndedEarly, // cannot happen: `self` holds the sender
        }
    }

    /// Waits until the current stream is not broken.
    pub async fn wait_until_reattached(&self) {
        // Cannot fail: `self` holds the sender.
        let _ = self.0.state.subscribe().wait_for(|state| state.broken.is_none()).await;
    }

    /// Whether the current stream is broken.
    pub fn is_broken(&self) -> bool {
        self.0.state.borrow().broken.is_some()
    }

    /// Whether no other stream will be attached.
    pub fn is_closed(&self) -> bool {
        self.0.state.borrow().closed.is_some()
    }

    /// Marks the current stream as broken.
    pub fn mark_broken(&self, why: StreamError) {
        self.mark_broken_if(why, |_| true);
    }

    /// Ends the session: marks the current stream as broken and attaches no other. Its reader and writer fail.
    pub fn close(&self, why: StreamError) {
        self.0.state.send_modify(|state| {
            state.broken.get_or_insert_with(|| why.clone());
            state.closed.get_or_insert(why);
        });
    }

    /// Reports that a half of stream `number` has failed.
    ///
    /// # Errors
    /// The reason why the session has ended, if no other stream can replace this one.
    pub(super) fn report_failure(&self, number: u64, why: StreamError) -> Result<(), StreamError> {
        if !is_recoverable(&why) {
            return Err(why);
        }
        self.mark_broken_if(why, |state| state.number == number);
        match &self.0.state.borrow().closed {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Waits until stream `number` is broken or replaced.
    pub(super) async fn wait_until_replaced(&self, number: u64) {
        let is_replaced =
            |state: &StreamState| state.number != number || state.broken.is_some() || state.closed.is_some();
        let _ = self.0.state.subscribe().wait_for(is_replaced).await; // cannot fail: `self` holds the sender
    }

    /// Waits for the sending half of a stream after `number`.
    pub(super) async fn next_send(&self, number: u64) -> Result<NewHalf<SendHalf>, StreamError> {
        self.next_half(number, |halves| halves.send.take()).await
    }

    /// Waits for the receiving half of a stream after `number`.
    pub(super) async fn next_recv(&self, number: u64) -> Result<NewHalf<RecvHalf>, StreamError> {
        self.next_half(number, |halves| halves.recv.take()).await
    }

    /// Stores a sealed record until the other end acknowledges it.
    ///
    /// # Errors
    /// [`StreamError::TooFarAhead`] if the other end acknowledges too little.
    pub(super) fn push_record(&self, record: Bytes) -> Result<(), StreamError> {
        self.lock_retransmit().push(record)
    }

    /// Returns the sealed bytes from offset `from` to the end of their record, to be written to stream `number`; no
    /// bytes if all have been written.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the other end acknowledged them before they were sent.
    pub(super) fn read_sealed(&self, number: u64, from: u64) -> Result<Bytes, WireError> {
        self.lock_retransmit().read(number, from)
    }

    pub(super) fn set_received_bytes(&self, received: u64) {
        self.0.received.store(received, Ordering::Release);
    }

    async fn next_half<H>(
        &self,
        number: u64,
        take: impl Fn(&mut NewHalves) -> Option<NewHalf<H>>,
    ) -> Result<NewHalf<H>, StreamError> {
        let mut states = self.0.state.subscribe();
        let mut seen = number;
        loop {
            let closed = match states.wait_for(|state| state.closed.is_some() || state.number > seen).await {
                Ok(state) => {
                    seen = state.number;
                    state.closed.clone()
                }
                Err(_) => Some(StreamError::EndedEarly), // cannot happen: `self` holds the sender
            };
            if let Some(new) = take(&mut self.0.new_halves.lock()) {
                return Ok(new);
            }
            if let Some(why) = closed {
                return Err(why);
            }
        }
    }

    fn mark_broken_if(&self, why: StreamError, condition: impl Fn(&StreamState) -> bool) {
        self.0.state.send_if_modified(|state| {
            let breaks = state.broken.is_none() && state.closed.is_none() && condition(state);
            if breaks {
                if !state.can_reattach {
                    state.closed = Some(why.clone());
                }
                state.broken = Some(why);
            }
            breaks
        });
    }

    fn lock_retransmit(&self) -> MutexGuard<'_, RetransmitBuffer> {
        self.0.retransmit.lock()
    }
}

impl Default for ResumableStream {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether another stream may succeed: not if the other end has violated the protocol or ended its share.
fn is_recoverable(why: &StreamError) -> bool {
    match why {
        StreamError::Lost(_) | StreamError::EndedEarly => true,
        StreamError::Aborted(code) => !matches!(*code, PROTOCOL_ERROR | ENDED),
        StreamError::TooFarAhead | StreamError::Wire(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::duplex;

    /// Attaches another stream to `stream` whose other end has received `their_received` bytes.
    fn attach(stream: &ResumableStream, their_received: u64) -> Result<(), WireError> {
        let [(send, recv), _] = duplex();
        stream.attach(send, recv, their_received, 0)
    }

    #[test]
    fn acknowledged_bytes_are_stored_until_the_new_stream_has_them() {
        let stream = ResumableStream::new();
        stream.push_record(Bytes::from_static(b"01234")).unwrap();
        stream.push_record(Bytes::from_static(b"56789")).unwrap();
        stream.read_sealed(FIRST_STREAM, 0).unwrap();
        stream.read_sealed(FIRST_STREAM, 5).unwrap();
        attach(&stream, 3).unwrap();
        stream.acknowledge(10).unwrap();
        assert_eq!(stream.read_sealed(FIRST_STREAM + 1, 3).unwrap(), "34");
        assert_eq!(stream.read_sealed(FIRST_STREAM + 1, 5).unwrap(), "56789");
        assert!(stream.read_sealed(FIRST_STREAM + 1, 3).is_err(), "released");
    }

    #[test]
    fn only_sealed_bytes_can_be_acknowledged() {
        let stream = ResumableStream::new();
        stream.push_record(Bytes::from_static(b"0123456789")).unwrap();
        stream.read_sealed(FIRST_STREAM, 0).unwrap();
        assert!(stream.acknowledge(11).is_err());
        stream.acknowledge(4).unwrap();
        assert_eq!(stream.read_sealed(FIRST_STREAM, 4).unwrap(), "456789");
        stream.acknowledge(10).unwrap();
        assert!(stream.read_sealed(FIRST_STREAM, 10).unwrap().is_empty());
        assert!(stream.read_sealed(FIRST_STREAM, 9).is_err(), "released");
        assert!(attach(&stream, 9).is_err(), "less than was acknowledged");
        assert!(attach(&stream, 11).is_err(), "more than was sealed");
    }

    #[test]
    fn unacknowledged_bytes_are_bounded() {
        let stream = ResumableStream::new();
        let mebibyte = Bytes::from(vec![0; 1024 * 1024]);
        let accepted = (0..1_000).take_while(|_| stream.push_record(mebibyte.clone()).is_ok()).count();
        assert_eq!(accepted, 96, "a peer that acknowledges nothing is abandoned");
    }
}
