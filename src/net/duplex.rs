//! A bidirectional stream in memory, for tests.

use super::{memory_stream::memory_stream, recv_half::RecvHalf, send_half::SendHalf};

/// Creates a bidirectional stream in memory and returns its two ends. No bytes leave the process.
pub fn duplex() -> [(SendHalf, RecvHalf); 2] {
    let [(a_sender, b_receiver), (b_sender, a_receiver)] = [memory_stream(), memory_stream()];
    [(a_sender.into(), a_receiver.into()), (b_sender.into(), b_receiver.into())]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::task::yield_now;

    use super::*;
    use crate::{net::StreamError, wire::reset_code::CANCELLED};

    #[tokio::test]
    async fn a_dropped_send_half_resets_the_stream() {
        let [(mut send, _), (_, mut recv)] = duplex();
        send.write(Bytes::from_static(b"half")).await.unwrap();
        drop(send);
        assert_eq!(recv.read().await.unwrap().unwrap(), "half");
        assert_eq!(recv.read().await, Err(StreamError::Aborted(CANCELLED)));
    }

    #[tokio::test]
    async fn a_stop_carries_its_code_to_the_sender() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        let stopped = tokio::spawn(send.stopped());
        recv.stop(77);
        assert_eq!(stopped.await.unwrap(), StreamError::Aborted(77));
        assert_eq!(send.stopped().await, StreamError::Aborted(77));
        assert_eq!(send.write(Bytes::from_static(b"late")).await, Err(StreamError::Aborted(77)));
        drop(recv);
        assert_eq!(send.stopped().await, StreamError::Aborted(77), "a drop does not replace the code");
    }

    #[tokio::test]
    async fn a_dropped_recv_half_stops_the_stream() {
        let [(send, _a), (_b, recv)] = duplex();
        drop(recv);
        assert_eq!(send.stopped().await, StreamError::Aborted(CANCELLED));
    }

    #[tokio::test]
    async fn a_stream_that_was_read_to_its_end_is_not_stopped() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        let stopped = tokio::spawn(send.stopped());
        send.finish();
        assert_eq!(recv.read().await, Ok(None));
        drop(recv);
        yield_now().await;
        assert!(!stopped.is_finished());
    }
}
