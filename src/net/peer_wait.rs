//! Waits on a peer, bounded in time and in memory.
//!
//! A hostile peer may send nothing, or accept nothing, indefinitely. So every wait on a peer has a limit. While a task
//! waits for one stream, the peer may fill the window of another one with unread bytes. They would occupy memory that
//! no budget counts, and use up the window that other streams of the connection need. So the wait also reads those
//! streams. It fails if more arrives than an honest peer sends before its turn.
//!
//! `tests/it/layers.rs` checks that no other module waits on a peer directly.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::time::timeout;

use super::{recv_half::RecvHalf, stream_error::StreamError};

/// Waits for `work`, which depends on a peer, until `limit` has passed. Meanwhile reads `others`, streams on which it
/// is not the peer's turn. Their next read returns the bytes that arrive.
///
/// # Errors
/// [`PeerWaitError`] if `limit` passes, if `work` fails, or if one of `others` fails or sends too much.
///
/// # Cancel safety
/// If the future is dropped before it completes, `work` is dropped, and no bytes of `others` are lost.
pub async fn wait_on_peer<T, const N: usize>(
    limit: Duration,
    mut others: [&mut RecvHalf; N],
    work: impl Future<Output = Result<T, StreamError>>,
) -> Result<T, PeerWaitError> {
    let mut work = Box::pin(work); // a stack pin would store the future twice in every future that waits
    let guarded = poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        for other in &mut others {
            if let Poll::Ready(e) = other.poll_read_ahead(cx) {
                return Poll::Ready(Err(e));
            }
        }
        Poll::Pending
    });
    match timeout(limit, guarded).await {
        Ok(done) => done.map_err(PeerWaitError::Stream),
        Err(_) => Err(PeerWaitError::Silent),
    }
}

/// The reason why a wait on a peer failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerWaitError {
    /// The peer exceeded the time limit.
    #[error("the peer did not answer in time")]
    Silent,
    /// A stream failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;

    use super::*;
    use crate::{net::duplex, wire::WireError};

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_ends_the_wait() {
        let [_near, (_, mut recv)] = duplex();
        assert_eq!(wait_on_peer(LIMIT, [], recv.read()).await, Err(PeerWaitError::Silent));
    }

    #[tokio::test(start_paused = true)]
    async fn early_bytes_are_kept_for_the_next_read() {
        let [(mut send, _), (_, mut recv)] = duplex();
        for part in [&b"ab"[..], b"cd"] {
            send.write(Bytes::from_static(part)).await.unwrap();
            let waited = wait_on_peer(LIMIT, [&mut recv], pending::<Result<(), StreamError>>()).await;
            assert_eq!(waited, Err(PeerWaitError::Silent));
        }
        send.finish();
        assert_eq!(wait_on_peer(LIMIT, [&mut recv], async { Ok(7) }).await, Ok(7));
        let mut all = Vec::new();
        recv.fill(&mut all, 3).await.unwrap();
        assert_eq!((&all[..], recv.read().await), (&b"abc"[..], Ok(Some(Bytes::from_static(b"d")))));
        assert_eq!(recv.read().await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_too_much_before_its_turn_ends_the_wait() {
        let [(mut send, _), (_, mut recv)] = duplex();
        let flood = async {
            while send.write(Bytes::from_static(&[7; 1000])).await.is_ok() {}
            pending::<Result<(), StreamError>>().await
        };
        let waited = wait_on_peer(LIMIT, [&mut recv], flood).await;
        assert_eq!(waited, Err(StreamError::from(WireError::OutOfTurn).into()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_reset_of_another_stream_ends_the_wait() {
        let [(mut send, _), (_, mut recv)] = duplex();
        send.reset(77);
        let waited = wait_on_peer(LIMIT, [&mut recv], pending::<Result<(), StreamError>>()).await;
        assert_eq!(waited, Err(StreamError::Aborted(77).into()));
    }
}
