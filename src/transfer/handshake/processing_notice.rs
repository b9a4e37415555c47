//! Notices that tell a receiver that the sender is still at work on flight 2.
//!
//! Flight 2 may take long: the receiver waits for an attempt, or the sender scans many files on a slow disk. With
//! notices, the receiver can tell such a sender from a silent one.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    net::{OwnedFrame, PeerWaitError, RecvHalf, SendHalf, wait_on_peer},
    transfer::timeouts::REPLY_TIMEOUT,
    wire::peer::{MAX_CLEAR_BODY, Processing},
};

/// The interval of the notices.
const INTERVAL: Duration = Duration::from_secs(3);

/// How long the receiver waits for flight 2 or the next notice: three intervals, and longer than a relay takes to
/// notice that a sender is gone.
const MAX_SILENCE: Duration = Duration::from_secs(14);

/// How long the receiver waits for flight 2 in all. Notices are unauthenticated, so they cannot delay it further. A
/// scan that takes longer continues at the sender, and the next attempt of the receiver finds its result.
const FLIGHT_2_TIMEOUT: Duration = Duration::from_secs(120);

/// Does `work`, on which flight 2 depends, and sends a notice every few seconds meanwhile.
///
/// # Cancel safety
/// If the future is dropped before it completes, `work` is dropped, and a notice may be incomplete.
pub(crate) async fn notify_while<T>(send: &mut SendHalf, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Ok(done) = timeout(INTERVAL, &mut work).await {
            return done;
        }
        // Completed before `work` continues, because flight 2 must not follow a part of a notice.
        if wait_on_peer(REPLY_TIMEOUT, [], send.send_message(&Processing {})).await.is_err() {
            return work.await; // the caller notices that the stream has failed
        }
    }
}

/// Reads the first frame of flight 2, which notices may precede.
///
/// # Errors
/// [`PeerWaitError::Silent`] if nothing arrives for [`MAX_SILENCE`], or no flight 2 within [`FLIGHT_2_TIMEOUT`].
pub(super) async fn read_flight_2(recv: &mut RecvHalf) -> Result<OwnedFrame, PeerWaitError> {
    let deadline = Instant::now() + FLIGHT_2_TIMEOUT;
    loop {
        let limit = MAX_SILENCE.min(deadline.saturating_duration_since(Instant::now()));
        let frame = wait_on_peer(limit, [], recv.read_frame(MAX_CLEAR_BODY)).await?;
        if frame.frame().decode::<Processing>().is_err() {
            return Ok(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::{
        net::duplex,
        wire::peer::{Alert, AlertReason},
    };

    const ALERT: Alert = Alert { reason: AlertReason::Busy, retry_after: 1 };

    #[tokio::test(start_paused = true)]
    async fn a_sender_at_work_is_waited_for() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        let sender = async {
            notify_while(&mut send, sleep(Duration::from_secs(100))).await;
            send.send_message(&ALERT).await.unwrap();
        };
        let (flight_2, ()) = tokio::join!(read_flight_2(&mut recv), sender);
        assert_eq!(flight_2.unwrap().frame().decode::<Alert>().unwrap(), ALERT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_is_given_up_after_fourteen_seconds() {
        let [_near, (_send, mut recv)] = duplex();
        let start = Instant::now();
        assert_eq!(read_flight_2(&mut recv).await.err(), Some(PeerWaitError::Silent));
        assert_eq!(start.elapsed().as_secs(), 14);
    }

    #[tokio::test(start_paused = true)]
    async fn notices_extend_the_wait_to_two_minutes_at_most() {
        let [(mut send, _a), (_b, mut recv)] = duplex();
        let start = Instant::now();
        let endless = notify_while(&mut send, std::future::pending::<()>());
        tokio::select! {
            read = read_flight_2(&mut recv) => assert_eq!(read.err(), Some(PeerWaitError::Silent)),
            () = endless => unreachable!("the work never ends"),
        }
        assert_eq!(start.elapsed().as_secs(), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_reads_nothing_does_not_hold_up_the_work() {
        let [(mut send, _a), _far] = duplex();
        while timeout(Duration::from_millis(1), send.write(vec![0; 64 * 1024].into())).await.is_ok() {}
        let work = timeout(Duration::from_secs(60), notify_while(&mut send, sleep(Duration::from_secs(30))));
        assert!(work.await.is_ok());
    }
}
