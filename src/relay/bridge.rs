//! A bridge: what comes in on one stream goes out on another, and an end of one becomes the same end of the other.
//!
//! Both sides are always drained into a buffer of the bridge's own (QUIC's flow control alone cannot hold a sender back
//! without gaps in its receive buffer, and more than 1,024 of them make quinn close the connection). How much may be on
//! its way is agreed between the two ends by their own credit; a bridge that holds more than its bound is reset.

use bytes::{Bytes, BytesMut};

use crate::{
    net::{LineError, Lost, RecvHalf, SendHalf},
    wire::relay::code::{OVERRUN, PEER_LOST},
};

/// What a bridge holds beyond the credit of the two ends: frames in the clear and what is being copied.
const SLACK: usize = 1024 * 1024;

/// One side of a bridge.
pub(super) type Side = (SendHalf, RecvHalf);

/// Forwards between two sides until both directions have ended. Each direction holds at most `bound` bytes.
pub(super) async fn run(a: Side, b: Side, bound: u64) {
    let bound = usize::try_from(bound).unwrap_or(usize::MAX).saturating_add(SLACK);
    let there = Direction::new(a.1, b.0, bound);
    let back = Direction::new(b.1, a.0, bound);
    // An overrun ends the other direction too: its halves are reset when they are dropped.
    let _ = tokio::try_join!(there.run(), back.run());
}

/// More bytes on their way than the bridge may hold.
#[derive(Debug)]
struct Overrun;

struct Direction {
    from: RecvHalf,
    to: SendHalf,
    bound: usize,
    /// What has arrived and is not being written yet.
    arrived: BytesMut,
    /// What is being written.
    leaving: Bytes,
}

impl Direction {
    fn new(from: RecvHalf, to: SendHalf, bound: usize) -> Self {
        Self { from, to, bound, arrived: BytesMut::new(), leaving: Bytes::new() }
    }

    async fn run(mut self) -> Result<(), Overrun> {
        let stopped = self.to.stopped();
        tokio::pin!(stopped);
        let mut open = true;
        while open || !self.leaving.is_empty() || !self.arrived.is_empty() {
            if self.leaving.is_empty() {
                self.leaving = self.arrived.split().freeze();
            }
            tokio::select! {
                why = &mut stopped => {
                    self.from.stop(code_of(&why));
                    return Ok(());
                }
                written = self.to.write_some(&mut self.leaving), if !self.leaving.is_empty() => {
                    if let Err(e) = written {
                        self.from.stop(code_of(&e));
                        return Ok(());
                    }
                }
                read = self.from.read_arrived(&mut self.arrived), if open => match read {
                    Ok(more) => open = more,
                    Err(e) => {
                        self.to.reset(code_of(&e));
                        return Ok(());
                    }
                },
            }
            if self.arrived.len() + self.leaving.len() > self.bound {
                self.from.stop(OVERRUN);
                self.to.reset(OVERRUN);
                return Err(Overrun);
            }
        }
        self.to.finish();
        Ok(())
    }
}

/// The code that the other side gets to see.
fn code_of(e: &LineError) -> u32 {
    match e {
        LineError::Ended(code) | LineError::Lost(Lost::Closed(code)) => *code,
        LineError::Lost(_) | LineError::Short | LineError::Wire(_) => PEER_LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::transport::duplex;

    /// A bridge between two ends in memory.
    fn bridged(bound: u64) -> (Side, Side, tokio::task::JoinHandle<()>) {
        let ([a, near], [far, b]) = (duplex(), duplex());
        (a, b, tokio::spawn(run(near, far, bound)))
    }

    #[tokio::test]
    async fn bytes_and_the_finish_pass() {
        let (mut a, mut b, bridge) = bridged(100);
        a.0.write("hello".into()).await.unwrap();
        a.0.finish();
        let mut all = BytesMut::new();
        while b.1.read_arrived(&mut all).await.unwrap() {}
        assert_eq!(all, "hello");
        b.0.finish();
        assert_eq!(a.1.read().await.unwrap(), None);
        bridge.await.unwrap();
    }

    #[tokio::test]
    async fn a_reset_and_a_stop_pass_with_their_code() {
        let (mut a, mut b, _) = bridged(100);
        a.0.reset(77);
        assert_eq!(b.1.read().await.unwrap_err(), LineError::Ended(77));
        a.1.stop(5);
        assert!(matches!(b.0.stopped().await, LineError::Ended(_)));
    }

    #[tokio::test]
    async fn more_than_the_bound_resets_the_bridge() {
        let (mut a, b, bridge) = bridged(100);
        let chunk = Bytes::from(vec![0; SLACK]);
        while a.0.write(chunk.clone()).await.is_ok() {}
        bridge.await.unwrap();
        drop(b);
    }
}
