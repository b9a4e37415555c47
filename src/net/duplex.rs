//! A bidirectional stream in memory, for tests.

use super::{memory_stream::memory_stream, recv_half::RecvHalf, send_half::SendHalf};

/// Creates a bidirectional stream in memory and returns its two ends. No bytes leave the process.
pub fn duplex() -> [(SendHalf, RecvHalf); 2] {
    let [(a_sender, b_receiver), (b_sender, a_receiver)] = [memory_stream(), memory_stream()];
    [(a_sender.into(), a_receiver.into()), (b_sender.into(), b_receiver.into())]
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::{Pin, pin},
        task::Poll,
    };

    use bytes::Bytes;
    use tokio::task::yield_now;

    use super::*;
    use crate::{net::StreamError, wire::reset_code::CANCELLED};

    #[tokio::test]
    async fn a_dropped_send_half_resets_the_stream() {
        let [(mut send, _), (_, mut recv)] = duplex();
        send.write(Bytes::from_static(b"half")).await.unwrap();
        drop(send);
        assert_eq!(recv.read().await, Err(StreamError::Aborted(CANCELLED)), "a reset overtakes the data");
    }

    #[tokio::test]
    async fn a_reset_overtakes_the_finish_until_everything_is_delivered() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        send.write(Bytes::from_static(b"half")).await.unwrap();
        send.finish();
        send.reset_even_if_finished(77);
        assert_eq!(recv.read().await, Err(StreamError::Aborted(77)));
    }

    #[tokio::test]
    async fn a_write_waits_while_too_many_bytes_are_in_flight() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        let large = Bytes::from(vec![7; 256 * 1024]);
        let address = large.as_ptr();
        send.write(large.clone()).await.unwrap();
        let mut next = large.clone();
        assert!(poll_once(pin!(send.write_some(&mut next))).await.is_none());
        assert_eq!(next.len(), large.len(), "an unwritten chunk is unchanged");
        assert_eq!(recv.read().await.unwrap().unwrap().as_ptr(), address, "chunks are handed over");
        send.write_some(&mut next).await.unwrap();
        assert!(next.is_empty());
    }

    #[tokio::test]
    async fn a_stream_is_delivered_when_its_reader_has_read_it_to_the_end_and_is_dropped() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        send.write(Bytes::from_static(b"all")).await.unwrap();
        send.finish();
        assert_eq!(recv.read().await.unwrap().unwrap(), "all");
        assert_eq!(recv.read().await, Ok(None));
        assert!(poll_once(pin!(send.wait_until_delivered())).await.is_none());
        drop(recv);
        send.wait_until_delivered().await;
    }

    /// Polls a future once.
    async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
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
