//! Admission: which of the streams that the relay opens are served.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{download::Download, offer::PreparedOffer, progress::receiver_label, share::Share};
use crate::{
    error::Error,
    event::Event,
    net::{OwnedFrame, RecvHalf, SendHalf},
    transfer::{
        handshake::{
            BUSY_RETRY_DELAY, FirstFrameError, HandshakeFailure, Responder, ResumptionAdmission, read_first_frame,
            send_alert,
        },
        session::RecordBuilder,
        timeouts::REPLY_TIMEOUT,
    },
    wire::{
        Message,
        peer::{AlertReason, AttachRequest, Hello, HelloMode},
        relay::{IncomingDownload, MAX_BODY},
        reset_code::ENDED,
    },
};

/// Grace period for handshakes in flight when the share closes. A receiver counts itself as accepted as soon as it has
/// verified the sender's tag, and its own tag may arrive this much later. A receiver that is confirmed within this time
/// learns that the share has ended.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// Serves a stream that the relay opened until the stream ends. Reports failures as events.
pub(super) async fn serve_stream(share: Arc<Share>, number: u64, (mut send, mut recv): (SendHalf, RecvHalf)) {
    match timeout(REPLY_TIMEOUT, recv.read_frame(MAX_BODY)).await {
        Ok(Ok(frame)) if frame.frame().decode::<IncomingDownload>().is_ok() => {}
        _ => return,
    }
    let first = tokio::select! {
        first = read_first_frame(&mut recv) => first,
        () = closing_grace(&share) => return send.reset(ENDED),
    };
    match first {
        Ok(first) if first.frame().kind == AttachRequest::TYPE => reattach(&share, &first, (send, recv)).await,
        Ok(first) if share.is_closing() && !may_finish(&share, &first) => send.reset(ENDED),
        Ok(first) => serve_receiver(share, number, &first, (send, recv)).await,
        Err(FirstFrameError::Malformed) => send_alert(send, AlertReason::Malformed, None).await,
        Err(FirstFrameError::Lost) => {}
    }
}

/// Waits until the share is closing and [`CLOSING_GRACE`] has passed.
async fn closing_grace(share: &Share) {
    share.wait_until_closing().await;
    sleep(CLOSING_GRACE).await;
}

/// Whether the frame is the hello of a resuming receiver whose download may finish although the share is closing.
fn may_finish(share: &Share, first: &OwnedFrame) -> bool {
    match first.frame().decode() {
        Ok(Hello { mode: HelloMode::Resume(receiver), .. }) => share.sessions().has_receiver(&receiver),
        _ => false,
    }
}

/// Moves an existing session to this stream.
async fn reattach(share: &Share, first: &OwnedFrame, stream: (SendHalf, RecvHalf)) {
    let attached = match first.frame().decode() {
        Ok(request) => share.sessions().attach(&request, stream).await,
        Err(_) => Err(stream.0),
    };
    if let Err(send) = attached {
        send_alert(send, AlertReason::UnknownSession, None).await;
    }
}

/// Runs the handshake with a receiver, and its download if the handshake succeeds.
async fn serve_receiver(share: Arc<Share>, number: u64, first: &OwnedFrame, (send, recv): (SendHalf, RecvHalf)) {
    let Ok(Hello { mode, .. }) = first.frame().decode() else {
        send_alert(send, AlertReason::Malformed, None).await;
        return;
    };
    let Some(permit) = share.capacity().try_acquire_unauthenticated() else {
        return send_alert(send, AlertReason::Busy, Some(BUSY_RETRY_DELAY)).await;
    };
    let credentials = share.credentials();
    let resumption = match mode {
        HelloMode::Resume(receiver) => credentials.key.derive_resumption(share.id().as_bytes(), receiver),
        HelloMode::Code => credentials.key.issue_resumption(share.id().as_bytes()),
    };
    let (early, offer) = match PreparedOffer::new(&share).await {
        Ok(mut offer) => (offer.first_record(&resumption), Ok(offer)),
        Err(e) => (RecordBuilder::new(), Err(report_unreadable(&share, number, &e).await)),
    };
    debug!("receiver {number} sent its hello");
    let responder = Responder::new(&credentials.code, share.guess_budget())
        .with_resumption(ResumptionAdmission { expected: &resumption, permits: share.capacity().resumption_permits() });
    // A receiver that is admitted while the share is closing may finish its download, so no time limit applies to it.
    let is_closing = share.is_closing();
    let outcome = tokio::select! {
        outcome = responder.respond(first, early, (send, recv)) => outcome,
        () = closing_grace(&share), if !is_closing => return,
    };
    drop(permit);
    match outcome {
        Ok(session) => {
            debug!("receiver {number} has confirmed");
            let download = Download::new(share, number, session.stream.clone());
            download.run(session, resumption.id, offer).await;
        }
        Err(failure) => report_failure(&share, number, failure).await,
    }
}

/// Reports to the user that the shared files cannot be read, and returns the error for the receiver, which must not
/// learn paths of this machine.
async fn report_unreadable(share: &Share, number: u64, e: &Error) -> Error {
    let message = format!("cannot serve receiver {number}: {}", e.message());
    share.events().report(Event::warning("source", message, e)).await;
    Error::new(e.kind(), "the shared files are missing or unreadable")
}

/// Reports a failed handshake.
async fn report_failure(share: &Share, number: u64, failure: HandshakeFailure) {
    match failure {
        HandshakeFailure::Unconfirmed => {
            let guesses_left = share.guess_budget().remaining();
            let peer = receiver_label(number);
            share.events().report(Event::WrongCode { download: number, peer, guesses_left }).await;
            share.check_code_retired();
        }
        HandshakeFailure::Retired => share.check_code_retired(),
        HandshakeFailure::Disk(e) => {
            let message = format!("cannot admit receiver {number}: {e}");
            share.events().report(Event::warning("state", message, &e)).await;
        }
        HandshakeFailure::NotCharged => {}
    }
}
