//! A bridge forwards the bytes, the finish, the reset and the stop of one stream to another, in both directions.
//!
//! Each direction always reads what has arrived, into a bounded queue of its own. It cannot use QUIC's flow control to
//! slow a sender: unread data leaves gaps in the receive buffer, and quinn closes a connection with more than 1,024 of
//! them. The credit of the two ends bounds what is in flight; a bridge that holds more than its limit is reset.
//!
//! A stream in memory, from the share in the relay's process, is read only when the chunk before has been written. So
//! the share, which would hold the bytes anyway, waits for the receiver's connection.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    block_queue::BlockQueue,
    bridge_phase::BridgePhase,
    counters::Counter,
    memory_accounts::WriteProgress,
    memory_budget::{MemoryAccount, MemoryBudget},
};
use crate::{
    net::{BufferPool, ConnectionLost, RecvHalf, SendHalf, StreamError},
    wire::reset_code::{EVICTED, OVERRUN, PEER_CLOSED, PEER_LOST},
};

/// Returns how much a direction may hold beyond the credit of the two ends: frames in the clear, the last record, and
/// the overhead of chunks that arrive out of order.
fn slack(bound: usize) -> usize {
    1024 * 1024 + bound / 8
}

/// One side of a bridge: a stream of the relay to one end.
pub(super) type BridgeSide = (SendHalf, RecvHalf);

/// The time that a young bridge waits for the sender's verdict after the receiver has ended both halves of its stream.
/// A receiver that tests a guess may leave as soon as it knows the answer.
///
/// The end of the first half is forwarded at once, so the sender knows; the second one is held back. Its counterpart is
/// the half on which the sender can still answer.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(1);

/// A bridge is reset if a target accepts nothing for this long after its source has ended, or while the bridge is not
/// confirmed. Every honest end always reads. Otherwise peers that read nothing could occupy the streams of a sender for
/// ever.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// A bridge is reset if a target acknowledges nothing for this long after everything was written. The account sees the
/// acknowledgement of whole blocks, at most a few hundred KiB: 20 kbit/s are enough.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// Forwards between a receiver and a sender until both directions have ended. Each direction may hold `bound` bytes and
/// [`slack`], and has an account in `budget`. Adds the bytes that have arrived to `bytes`.
///
/// Returns how the bridge ended.
pub(super) async fn run(
    receiver: BridgeSide,
    sender: BridgeSide,
    bound: u64,
    budget: &MemoryBudget,
    bytes: &Counter,
) -> BridgeEnd {
    let bound = usize::try_from(bound).unwrap_or(usize::MAX);
    let phase = BridgePhase::new();
    let new = |from, to, source| BridgeDirection::new((from, to), source, bound, budget, bytes, &phase);
    let mut to_sender = new(receiver.1, sender.0, BridgeSource::Receiver);
    let mut to_receiver = new(sender.1, receiver.0, BridgeSource::Sender);
    let ended = tokio::try_join!(biased; to_sender.forward(), to_receiver.forward());
    if let Err(BridgeReset(code)) = ended {
        to_sender.reset(code);
        to_receiver.reset(code);
    }
    BridgeEnd { sender_code: to_receiver.source_code.or(to_sender.target_code), was_confirmed: phase.is_confirmed() }
}

/// How a bridge ended.
pub(super) struct BridgeEnd {
    /// The code with which the sender reset or stopped its stream, if it did.
    pub(super) sender_code: Option<u32>,
    /// Whether the sender has sent more than it sends to a receiver that has not confirmed the code.
    pub(super) was_confirmed: bool,
}

/// The end from which a direction forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BridgeSource {
    Receiver,
    Sender,
}

/// Both directions of the bridge must be reset with this code.
#[derive(Debug)]
struct BridgeReset(u32);

struct BridgeDirection<'a> {
    from: RecvHalf,
    to: SendHalf,
    /// The most bytes of memory that it may hold.
    limit: usize,
    account: MemoryAccount,
    /// Counts the bytes that have arrived.
    bytes: &'a Counter,
    phase: &'a BridgePhase,
    source: BridgeSource,
    /// The code with which the source was reset, and the one with which the target was stopped.
    source_code: Option<u32>,
    target_code: Option<u32>,
    /// The bytes that have arrived in order and are not being written yet.
    queue: BlockQueue,
    /// The block that is being written.
    writing: Bytes,
    /// Whether everything is written, the finish included.
    is_finished: bool,
}

impl<'a> BridgeDirection<'a> {
    fn new(
        (mut from, to): (RecvHalf, SendHalf),
        source: BridgeSource,
        bound: usize,
        budget: &MemoryBudget,
        bytes: &'a Counter,
        phase: &'a BridgePhase,
    ) -> Self {
        let limit = bound.saturating_add(slack(bound));
        from.set_reorder_window(limit);
        Self {
            from,
            to,
            limit,
            account: budget.open_account(),
            bytes,
            phase,
            source,
            source_code: None,
            target_code: None,
            queue: BlockQueue::new(budget.pool()),
            writing: Bytes::new(),
            is_finished: false,
        }
    }

    /// Forwards until this direction ends, then frees its memory at once: the other direction may run for much longer.
    async fn forward(&mut self) -> Result<(), BridgeReset> {
        let ended = self.copy().await;
        self.queue = BlockQueue::new(BufferPool::default());
        self.writing = Bytes::new();
        self.from.discard_buffered();
        self.account.update(0, WriteProgress::Written);
        if self.is_finished {
            self.finish_delivery().await; // the bridge counts as open until then
        }
        ended
    }

    /// Waits until everything is delivered, and confirms it to the source. A reset still overtakes what is in flight,
    /// and ends the delivery if nothing is acknowledged for [`ACKNOWLEDGEMENT_TIMEOUT`].
    async fn finish_delivery(&mut self) {
        tokio::select! {
            () = self.to.wait_until_delivered() => self.from.confirm_delivery(),
            e = self.from.failed() => {
                self.source_code = aborted_code(&e);
                self.to.reset_even_if_finished(forwarded_code(&e));
            }
            () = self.account.evicted() => self.to.reset_even_if_finished(EVICTED),
            () = self.account.stalled(ACKNOWLEDGEMENT_TIMEOUT) => self.to.reset_even_if_finished(EVICTED),
        }
    }

    /// Stops the source after the target has failed with `e`.
    async fn stop_source(&mut self, e: &StreamError) {
        self.target_code = aborted_code(e);
        if self.source == BridgeSource::Sender
            && self.phase.end_receivers_half()
            && let Ok(verdict) = timeout(VERDICT_TIMEOUT, self.discard_source()).await
        {
            self.source_code = aborted_code(&verdict);
        }
        self.from.stop(forwarded_code(e));
        self.to.reset(forwarded_code(e)); // ends the stream: QUIC keeps a stopped half until it is reset
    }

    /// Resets the target after the source has failed with `e`. `stopped` completes when the target is stopped.
    async fn reset_target(&mut self, e: &StreamError, stopped: impl Future<Output = StreamError>) {
        self.source_code = aborted_code(e);
        if self.source == BridgeSource::Receiver
            && self.phase.end_receivers_half()
            && let Ok(verdict) = timeout(VERDICT_TIMEOUT, stopped).await
        {
            self.target_code = aborted_code(&verdict);
        }
        self.to.reset(forwarded_code(e));
    }

    /// Discards arriving bytes until the source fails or finishes.
    async fn discard_source(&mut self) -> StreamError {
        loop {
            match self.from.read_available(drop).await {
                Ok(true) => {}
                Ok(false) => return StreamError::EndedEarly,
                Err(e) => return e,
            }
        }
    }

    async fn copy(&mut self) -> Result<(), BridgeReset> {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        let mut source_is_open = true;
        let mut checked_at = Instant::now();
        loop {
            if self.writing.is_empty() {
                let block = self.queue.pop();
                self.writing = block.map_or_else(Bytes::new, |block| self.account.count_until_acknowledged(block));
            }
            if !source_is_open && self.writing.is_empty() {
                self.to.finish();
                self.is_finished = true;
                return Ok(());
            }
            let has_room = self.writing.is_empty() || !self.from.has_backpressure();
            let wants_data = source_is_open && has_room;
            let mut progress = WriteProgress::Blocked;
            tokio::select! {
                e = &mut stopped => {
                    self.stop_source(&e).await;
                    return Ok(());
                }
                () = self.account.evicted() => return Err(BridgeReset(EVICTED)),
                () = sleep_until(checked_at.max(self.account.last_progress()) + DELIVERY_TIMEOUT),
                    if !self.writing.is_empty() =>
                {
                    if self.has_stalled(source_is_open) {
                        return Err(BridgeReset(EVICTED));
                    }
                    checked_at = Instant::now();
                }
                written = self.to.write_some(&mut self.writing), if !self.writing.is_empty() => {
                    if let Err(e) = written {
                        self.stop_source(&e).await;
                        return Ok(());
                    }
                    progress = WriteProgress::Written;
                }
                read = read_source(&mut self.from, wants_data, |chunk| {
                    self.bytes.add(chunk.len() as u64);
                    if self.source == BridgeSource::Sender {
                        self.phase.note_from_sender(chunk.len() as u64);
                    }
                    self.queue.push(chunk);
                }) => match read {
                    Ok(more) => source_is_open = more,
                    Err(StreamError::TooFarAhead) => return Err(BridgeReset(OVERRUN)),
                    Err(e) => {
                        self.reset_target(&e, stopped.as_mut()).await;
                        return Ok(());
                    }
                },
            }
            let waiting = self.queue.memory() + self.from.buffered_memory();
            self.account.update(waiting, progress);
            if waiting + self.writing.len() > self.limit {
                return Err(BridgeReset(OVERRUN));
            }
        }
    }

    /// Returns whether the target has accepted nothing for [`DELIVERY_TIMEOUT`] although it must: nothing else ends
    /// this bridge.
    fn has_stalled(&self, source_is_open: bool) -> bool {
        let source_has_ended = !source_is_open || self.from.has_finish();
        let must_accept = source_has_ended || !self.phase.is_confirmed();
        must_accept && self.account.last_progress().elapsed() >= DELIVERY_TIMEOUT
    }

    fn reset(&mut self, code: u32) {
        self.from.stop(code);
        self.to.reset(code);
    }
}

/// Passes the chunks that have arrived to `consume`, and returns whether more follow. If the bridge does not want data,
/// waits for a reset.
async fn read_source(from: &mut RecvHalf, wants_data: bool, consume: impl FnMut(Bytes)) -> Result<bool, StreamError> {
    if wants_data { from.read_available(consume).await } else { Err(from.failed().await) }
}

/// Returns the code with which the peer aborted a stream, if it did.
fn aborted_code(e: &StreamError) -> Option<u32> {
    match e {
        StreamError::Aborted(code) => Some(*code),
        _ => None,
    }
}

/// Returns the code with which the other side's stream is reset or stopped.
fn forwarded_code(e: &StreamError) -> u32 {
    match e {
        StreamError::Aborted(code) => *code,
        StreamError::TooFarAhead => OVERRUN,
        StreamError::Lost(ConnectionLost::ClosedByPeer(_)) => PEER_CLOSED,
        StreamError::Lost(_) | StreamError::EndedEarly | StreamError::Wire(_) => PEER_LOST,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::net::duplex;

    const MIB: usize = 1024 * 1024;

    /// Starts a bridge between two ends in memory, with an unlimited budget.
    fn bridged(bound: u64) -> (BridgeSide, BridgeSide, tokio::task::JoinHandle<BridgeEnd>) {
        let ([a, relay_a], [relay_b, b]) = (duplex(), duplex());
        let bridge = tokio::spawn(async move {
            run(relay_a, relay_b, bound, &MemoryBudget::new(usize::MAX), &Counter::default()).await
        });
        (a, b, bridge)
    }

    #[tokio::test]
    async fn bytes_and_the_finish_are_forwarded() {
        let (mut a, mut b, bridge) = bridged(100);
        a.0.write("hello".into()).await.unwrap();
        a.0.finish();
        let mut received = Vec::new();
        while b.1.read_available(|chunk| received.extend_from_slice(&chunk)).await.unwrap() {}
        assert_eq!(received, b"hello");
        b.0.finish();
        assert_eq!(a.1.read().await.unwrap(), None);
        drop((a, b)); // confirms that everything was delivered
        bridge.await.unwrap();
    }

    #[tokio::test]
    async fn resets_and_stops_are_forwarded_with_their_code() {
        let (mut a, mut b, _) = bridged(100);
        a.0.reset(77);
        assert_eq!(b.1.read().await.unwrap_err(), StreamError::Aborted(77));
        a.1.stop(5);
        assert_eq!(b.0.stopped().await, StreamError::Aborted(5));
    }

    #[tokio::test]
    async fn a_reset_overtakes_everything_that_the_bridge_holds() {
        for finishes in [false, true] {
            let (mut a, mut b, _bridge) = bridged(100);
            let chunk = Bytes::from(vec![0; MIB / 4]);
            for _ in 0..3 {
                a.0.write(chunk.clone()).await.unwrap(); // to the receiver, in the bridge, and on the way to the bridge
            }
            if finishes {
                a.0.finish();
            }
            a.0.reset_even_if_finished(77);
            let failure = loop {
                match b.1.read().await {
                    Ok(Some(_)) => {} // was on its way to the receiver already
                    other => break other,
                }
            };
            assert_eq!(failure, Err(StreamError::Aborted(77)), "finishes: {finishes}");
        }
    }

    #[tokio::test]
    async fn a_stream_is_delivered_when_the_receiver_has_everything() {
        let (mut a, mut b, _bridge) = bridged(100);
        a.0.write("last words".into()).await.unwrap();
        a.0.finish();
        let mut delivered = tokio::spawn(async move {
            a.0.wait_until_delivered().await;
            a
        });
        assert_eq!(b.1.read().await.unwrap().unwrap(), "last words");
        assert_eq!(b.1.read().await, Ok(None));
        tokio::task::yield_now().await;
        assert!(!delivered.is_finished());
        drop(b.1);
        (&mut delivered).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_senders_verdict_is_known_even_if_the_receiver_leaves_first() {
        for stops_first in [true, false] {
            let (mut receiver, mut sender, bridge) = bridged(100);
            if stops_first {
                receiver.1.stop(1);
                receiver.0.reset(1);
            } else {
                drop(receiver);
            }
            tokio::select! {
                e = sender.1.read() => assert_eq!(e, Err(StreamError::Aborted(1))),
                e = sender.0.stopped() => assert_eq!(e, StreamError::Aborted(1)),
            }
            sender.0.reset(77);
            sender.1.stop(77);
            assert_eq!(bridge.await.unwrap().sender_code, Some(77), "stops first: {stops_first}");
        }
        let (receiver, _silent_sender, bridge) = bridged(100);
        drop(receiver);
        let began = Instant::now();
        assert_eq!(bridge.await.unwrap().sender_code, None);
        assert_eq!(began.elapsed(), VERDICT_TIMEOUT);
    }

    /// As many bytes as a stream in memory takes before its reader reads.
    fn full_stream() -> Bytes {
        Bytes::from(vec![7; 128 * 1024])
    }

    /// Waits until a bridge is reset. Returns the time that this took.
    async fn reset_after(source: &mut BridgeSide, target: &mut BridgeSide) -> Duration {
        let began = Instant::now();
        assert_eq!(source.1.read().await, Err(StreamError::Aborted(EVICTED)));
        let took = began.elapsed();
        assert_eq!(target.1.read().await, Err(StreamError::Aborted(EVICTED)));
        took
    }

    #[tokio::test(start_paused = true)]
    async fn an_unconfirmed_bridge_whose_target_reads_nothing_is_reset() {
        let (mut receiver, mut sender, bridge) = bridged(100);
        for _ in 0..2 {
            receiver.0.write(full_stream()).await.unwrap(); // to the sender, and in the bridge
        }
        assert_eq!(reset_after(&mut receiver, &mut sender).await, DELIVERY_TIMEOUT);
        bridge.await.unwrap();
    }

    /// The relay reads no further while the target accepts nothing, so it must look for the finish behind the data.
    #[tokio::test(start_paused = true)]
    async fn a_finished_bridge_whose_target_reads_nothing_is_reset() {
        let (mut receiver, mut sender, bridge) = bridged(100);
        for _ in 0..4 {
            sender.0.write(full_stream()).await.unwrap();
            receiver.1.read().await.unwrap(); // this much confirms the code
        }
        for _ in 0..3 {
            sender.0.write(full_stream()).await.unwrap(); // to the receiver, in the bridge, and to the bridge
        }
        sleep(Duration::from_secs(3600)).await;
        assert!(!bridge.is_finished(), "a confirmed receiver may pause for as long as its sender allows");
        sender.0.finish();
        assert!(reset_after(&mut sender, &mut receiver).await <= DELIVERY_TIMEOUT);
        bridge.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_bridge_whose_target_acknowledges_nothing_is_reset() {
        let (mut receiver, mut sender, bridge) = bridged(100);
        sender.0.write(full_stream()).await.unwrap();
        sender.0.finish();
        receiver.0.finish();
        assert_eq!(sender.1.read().await, Ok(None));
        sender.1.confirm_delivery();
        let began = Instant::now();
        bridge.await.unwrap();
        assert_eq!(began.elapsed(), ACKNOWLEDGEMENT_TIMEOUT);
        assert_eq!(receiver.1.read().await, Err(StreamError::Aborted(EVICTED)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_target_receives_everything() {
        let (mut receiver, mut sender, bridge) = bridged(100);
        let sending = async {
            for _ in 0..20 {
                sender.0.write(full_stream()).await.unwrap();
            }
            sender.0.finish();
            sender.1.read().await
        };
        let receiving = async {
            let mut received = 0;
            while let Some(chunk) = receiver.1.read().await.unwrap() {
                received += chunk.len();
                sleep(DELIVERY_TIMEOUT - Duration::from_secs(1)).await;
            }
            receiver.1.confirm_delivery();
            receiver.0.finish();
            received
        };
        let (answer, received) = tokio::join!(sending, receiving);
        assert_eq!((answer, received), (Ok(None), 20 * full_stream().len()));
        drop((sender, receiver));
        bridge.await.unwrap();
    }

    #[tokio::test]
    async fn large_chunks_are_handed_on_without_a_copy() {
        let (mut a, mut b, _bridge) = bridged(100);
        let record = Bytes::from(vec![7; MIB / 8]);
        let address = record.as_ptr();
        a.0.write(record).await.unwrap();
        assert_eq!(b.1.read().await.unwrap().unwrap().as_ptr(), address);
    }

    #[tokio::test]
    async fn a_bridge_above_its_bound_is_reset() {
        let (mut a, b, bridge) = bridged(100);
        let chunk = Bytes::from(vec![0; 2 * MIB]);
        while a.0.write(chunk.clone()).await.is_ok() {}
        bridge.await.unwrap();
        drop(b);
    }

    #[tokio::test]
    async fn a_blocked_bridge_is_evicted_when_the_budget_is_exceeded() {
        let budget = MemoryBudget::new(7 * MIB / 2);
        let ([mut blocked, relay_a], [relay_b, _b]) = (duplex(), duplex());
        let shared = budget.clone();
        let bridge = tokio::spawn(async move { run(relay_a, relay_b, u64::MAX, &shared, &Counter::default()).await });
        // The third write has room when the first chunk waits for the receiver and the bridge holds the second.
        for _ in 0..3 {
            blocked.0.write(vec![0; MIB].into()).await.unwrap();
        }
        budget.open_account().update(MIB, WriteProgress::Written);
        bridge.await.unwrap();
        assert_eq!(budget.usage().held, 0);
        assert_eq!(budget.usage().evicted, 1);
        assert_eq!(blocked.1.read().await, Err(StreamError::Aborted(EVICTED)));
    }
}
