//! A bridge: what comes in on one stream goes out on another, and an end of one becomes the same end of the other.
//!
//! Both sides are always drained into a buffer of the bridge's own (QUIC's flow control alone cannot hold a sender back
//! without gaps in its receive buffer, and more than 1,024 of them make quinn close the connection). How much may be on
//! its way is agreed between the two ends by their own credit; a bridge that holds more than its bound is reset.

use bytes::Bytes;

use super::{
    blocks::Blocks,
    memory::{Account, MemoryBudget},
};
use crate::{
    net::{BufferPool, ConnectionLost, RecvHalf, SendHalf, StreamError},
    wire::reset_code::{EVICTED, OVERRUN, PEER_CLOSED, PEER_LOST},
};

/// What a direction may hold beyond the credit of the two ends: frames in the clear, the last record, and for what
/// waits out of order the cost of its pieces.
fn slack(bound: usize) -> usize {
    1024 * 1024 + bound / 8
}

/// One side of a bridge.
pub(super) type Side = (SendHalf, RecvHalf);

/// Forwards between two sides until both directions have ended. Each direction holds at most `bound` bytes and a little
/// more (a megabyte and an eighth), and has an account in `memory`.
pub(super) async fn run(a: Side, b: Side, bound: u64, memory: &MemoryBudget) {
    let bound = usize::try_from(bound).unwrap_or(usize::MAX);
    let mut there = Direction::new(a.1, b.0, bound, memory);
    let mut back = Direction::new(b.1, a.0, bound, memory);
    let ended = tokio::try_join!(there.forward(), back.forward());
    if let Err(GivenUp(why)) = ended {
        there.give_up(why);
        back.give_up(why);
    }
}

/// The bridge must go, for this reason.
#[derive(Debug)]
struct GivenUp(u32);

struct Direction {
    from: RecvHalf,
    to: SendHalf,
    /// More than this it must not hold.
    most: usize,
    account: Account,
    /// What has arrived in order and is not being written yet.
    arrived: Blocks,
    /// What is being written.
    leaving: Bytes,
    /// Everything is written, the finish included.
    is_finished: bool,
}

impl Direction {
    fn new(mut from: RecvHalf, to: SendHalf, bound: usize, memory: &MemoryBudget) -> Self {
        from.set_reorder_window(bound);
        let most = bound.saturating_add(slack(bound));
        let (account, arrived) = (memory.open(), Blocks::new(memory.stock()));
        Self { from, to, most, account, arrived, leaving: Bytes::new(), is_finished: false }
    }

    /// Runs, and holds nothing once it is over: the other direction may go on for long.
    async fn forward(&mut self) -> Result<(), GivenUp> {
        let ended = self.run().await;
        self.arrived = Blocks::new(BufferPool::default());
        self.leaving = Bytes::new();
        self.from.discard_buffered();
        self.account.set(0, true);
        if self.is_finished {
            self.to.wait_until_delivered().await; // until then, the bridge is there
        }
        ended
    }

    async fn run(&mut self) -> Result<(), GivenUp> {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        let mut open = true;
        loop {
            if self.leaving.is_empty() {
                self.leaving = self.arrived.pop().unwrap_or_default();
            }
            if !open && self.leaving.is_empty() {
                self.to.finish();
                self.is_finished = true;
                return Ok(());
            }
            let mut moved = false;
            tokio::select! {
                why = &mut stopped => {
                    self.from.stop(code_of(&why));
                    return Ok(());
                }
                () = self.account.evicted() => return Err(GivenUp(EVICTED)),
                written = self.to.write_some(&mut self.leaving), if !self.leaving.is_empty() => {
                    if let Err(e) = written {
                        self.from.stop(code_of(&e));
                        return Ok(());
                    }
                    moved = true;
                }
                read = self.from.read_available(|chunk| self.arrived.push(chunk)), if open => match read {
                    Ok(more) => open = more,
                    Err(StreamError::TooFarAhead) => return Err(GivenUp(OVERRUN)),
                    Err(e) => {
                        self.to.reset(code_of(&e));
                        return Ok(());
                    }
                },
            }
            let held = self.arrived.held() + self.leaving.len() + self.from.reorder_memory();
            self.account.set(held, moved);
            if held > self.most {
                return Err(GivenUp(OVERRUN));
            }
        }
    }

    fn give_up(&mut self, why: u32) {
        self.from.stop(why);
        self.to.reset(why);
    }
}

/// The code that the other side gets to see.
fn code_of(e: &StreamError) -> u32 {
    match e {
        StreamError::Aborted(code) => *code,
        StreamError::TooFarAhead => OVERRUN,
        StreamError::Lost(ConnectionLost::ClosedByPeer(_)) => PEER_CLOSED,
        StreamError::Lost(_) | StreamError::EndedEarly | StreamError::Wire(_) => PEER_LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::duplex;

    const MIB: usize = 1024 * 1024;

    /// A bridge between two ends in memory.
    fn bridged(bound: u64) -> (Side, Side, tokio::task::JoinHandle<()>) {
        let ([a, near], [far, b]) = (duplex(), duplex());
        (a, b, tokio::spawn(async move { run(near, far, bound, &MemoryBudget::new(usize::MAX)).await }))
    }

    #[tokio::test]
    async fn bytes_and_the_finish_pass() {
        let (mut a, mut b, bridge) = bridged(100);
        a.0.write("hello".into()).await.unwrap();
        a.0.finish();
        let mut all = Vec::new();
        while b.1.read_available(|chunk| all.extend_from_slice(chunk)).await.unwrap() {}
        assert_eq!(all, b"hello");
        b.0.finish();
        assert_eq!(a.1.read().await.unwrap(), None);
        bridge.await.unwrap();
    }

    #[tokio::test]
    async fn a_reset_and_a_stop_pass_with_their_code() {
        let (mut a, mut b, _) = bridged(100);
        a.0.reset(77);
        assert_eq!(b.1.read().await.unwrap_err(), StreamError::Aborted(77));
        a.1.stop(5);
        assert!(matches!(b.0.stopped().await, StreamError::Aborted(_)));
    }

    #[tokio::test]
    async fn more_than_the_bound_resets_the_bridge() {
        let (mut a, b, bridge) = bridged(100);
        let chunk = Bytes::from(vec![0; MIB]);
        while a.0.write(chunk.clone()).await.is_ok() {}
        bridge.await.unwrap();
        drop(b);
    }

    #[tokio::test]
    async fn a_relay_that_is_short_of_memory_gives_up_what_is_stuck() {
        let memory = MemoryBudget::new(3 * MIB / 2);
        let ([mut stuck, near], [far, _b]) = (duplex(), duplex());
        let also = memory.clone();
        let bridge = tokio::spawn(async move { run(near, far, u64::MAX, &also).await });
        let chunk = Bytes::from(vec![0; MIB / 64]);
        while memory.usage().held < MIB {
            stuck.0.write(chunk.clone()).await.unwrap();
        }
        memory.open().set(MIB, true);
        bridge.await.unwrap();
        assert_eq!(memory.usage().held, 0);
        assert_eq!(memory.usage().evicted, 1);
        assert_eq!(stuck.1.read().await, Err(StreamError::Aborted(EVICTED)));
    }
}
