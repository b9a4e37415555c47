//! Admission: which of the streams that the relay opens are served.
//!
//! A stream passes these steps. Each bounds the cost of the next one:
//!
//! 1. **Read.** The stream holds a permit of its network ([`FairPermits`](super::fair_permits::FairPermits)) until it
//!    has paid. The number of permits of one site is limited, and its networks share them fairly.
//! 2. **Check.** Flight 1 must be valid. A request to attach and the id of a resuming receiver must have valid tags.
//!    Such a stream then releases the permit of its network.
//! 3. **Charge.** A receiver with a code is charged an attempt, or waits for one.
//! 4. **Work.** Only now does the sender scan the shared files and send flight 2.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::debug;

use super::{
    download::Download, download_error::DownloadError, fair_permits::FairPermit, offer::PreparedOffer,
    pipe_use::PipeUse, progress::receiver_label, share::Share,
};
use crate::{
    crypto::Resumption,
    error::Error,
    event::Event,
    net::{OwnedFrame, RecvHalf, SendHalf, wait_on_peer},
    route::Route,
    text::count,
    transfer::{
        handshake::{
            BUSY_RETRY_DELAY, ChargedHello, FirstFrameError, HandshakeFailure, HandshakeRefusal, Responder,
            notify_while, read_first_frame, send_alert,
        },
        session::RecordBuilder,
        timeouts::REPLY_TIMEOUT,
    },
    wire::{
        Message,
        peer::{AlertReason, AttachRequest, FailureReason},
        relay::{IncomingDownload, MAX_BODY, SourceTag},
        reset_code::ENDED,
    },
};

/// Grace period for handshakes in flight when the share closes. A receiver counts itself as accepted as soon as it has
/// verified the sender's tag, and its own tag may arrive this much later. A receiver that is confirmed within this time
/// learns that the share has ended.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// Serves a stream that the relay opened until the stream ends. Reports failures as events.
pub(super) async fn serve_stream(share: Arc<Share>, (mut send, mut recv): (SendHalf, RecvHalf)) {
    let Some(IncomingDownload { source, route }) = read_announcement(&mut recv).await else { return };
    let (credentials, budget) = (share.credentials(), share.guess_budget().clone());
    let responder = Responder::new(&credentials.code, &budget, source);
    let responder = responder.with_share_key(&credentials.key, share.id());
    match admit(&share, responder, source, (&mut send, &mut recv)).await {
        Admission::Attach(request) => reattach(&share, &request, route, (send, recv)).await,
        Admission::Handshake(hello, turn) => {
            let resumption = match hello.resumption() {
                Some(resumption) => resumption.clone(),
                None => credentials.key.issue_resumption(share.id().as_bytes()),
            };
            let receiver = AdmittedReceiver { hello: *hello, turn, resumption, route };
            serve_receiver(share, receiver, (send, recv)).await;
        }
        Admission::Refused(HandshakeRefusal { reason, retry_after, failure }) => {
            send_alert(send, reason, retry_after).await;
            report_refusal(&share, failure);
        }
        Admission::Left => report_pressure(&share),
        Admission::Closing => send.reset(ENDED),
    }
}

/// Reads the relay's announcement of a receiver.
async fn read_announcement(recv: &mut RecvHalf) -> Option<IncomingDownload> {
    let frame = wait_on_peer(REPLY_TIMEOUT, [], recv.read_frame(MAX_BODY)).await.ok()?;
    frame.frame().decode().ok()
}

/// The outcome of the admission of a stream.
enum Admission<'a> {
    /// The stream requests to attach to an existing session. The tag of the request is not checked yet.
    Attach(AttachRequest),
    /// The stream has paid for a handshake.
    Handshake(Box<ChargedHello<'a>>, Turn),
    /// The stream is refused with an alert.
    Refused(HandshakeRefusal),
    /// The peer has left or has sent data out of turn.
    Left,
    /// The share is closing.
    Closing,
}

/// The right of a stream to a handshake.
enum Turn {
    /// A charged attempt.
    Attempt,
    /// A permit for resuming receivers.
    Resumption(FairPermit<[u8; 16]>),
}

impl Turn {
    /// Waits until another handshake revokes the permit of this one.
    async fn revoked(&self) {
        match self {
            Self::Attempt => std::future::pending().await,
            Self::Resumption(permit) => permit.revoked().await,
        }
    }
}

/// Reads the first frame of a stream, checks it, and charges the receiver an attempt if it needs one.
async fn admit<'a>(
    share: &Share,
    responder: Responder<'a>,
    source: SourceTag,
    (send, recv): (&mut SendHalf, &mut RecvHalf),
) -> Admission<'a> {
    let permit = share.capacity().unauthenticated().acquire(source);
    let admission = async {
        let first = match read_first_frame(recv).await {
            Ok(first) => first,
            Err(FirstFrameError::Malformed) => return refused(AlertReason::Malformed),
            Err(FirstFrameError::Lost) => return Admission::Left,
        };
        if first.frame().kind == AttachRequest::TYPE {
            return first.frame().decode().map_or_else(|_| refused(AlertReason::Malformed), Admission::Attach);
        }
        admit_receiver(share, responder, &first, (send, recv)).await
    };
    tokio::select! {
        biased; // a charged attempt takes precedence over a permit that is revoked at the same time
        admission = admission => admission,
        () = permit.revoked() => Admission::Refused(HandshakeRefusal::busy(BUSY_RETRY_DELAY)),
        () = closing_grace(share) => Admission::Closing,
    }
}

/// Checks flight 1. Charges an attempt to a receiver with a code, and gives a resuming receiver a separate permit.
async fn admit_receiver<'a>(
    share: &Share,
    responder: Responder<'a>,
    first: &OwnedFrame,
    (send, recv): (&mut SendHalf, &mut RecvHalf),
) -> Admission<'a> {
    let hello = match responder.check(first) {
        Ok(hello) => hello,
        Err(reason) => return refused(reason),
    };
    let turn = match hello.resumption() {
        // A download may finish although the share is closing.
        Some(resumption) if !share.is_closing() || share.sessions().has_receiver(&resumption.id) => {
            Turn::Resumption(share.capacity().resuming().acquire(resumption.id))
        }
        None if !share.is_closing() => Turn::Attempt,
        _ => return Admission::Closing,
    };
    tokio::select! {
        charged = notify_while(send, hello.charge()) => match charged {
            Ok(hello) => Admission::Handshake(Box::new(hello), turn),
            Err(refusal) => Admission::Refused(refusal),
        },
        () = out_of_turn(recv) => Admission::Left,
    }
}

fn refused<'a>(reason: AlertReason) -> Admission<'a> {
    Admission::Refused(reason.into())
}

/// Waits until the peer sends data before the sender's next flight, or its stream ends.
async fn out_of_turn(recv: &mut RecvHalf) {
    let _ = recv.read().await; // any result ends the handshake: an honest receiver sends nothing here
}

/// Waits until the share is closing and [`CLOSING_GRACE`] has passed.
async fn closing_grace(share: &Share) {
    share.wait_until_closing().await;
    sleep(CLOSING_GRACE).await;
}

/// Moves an existing session to this stream.
async fn reattach(share: &Share, request: &AttachRequest, route: Route, stream: (SendHalf, RecvHalf)) {
    if let Err(send) = share.sessions().attach(request, route, stream).await {
        send_alert(send, AlertReason::UnknownSession, None).await;
        report_pressure(share);
    }
}

/// A receiver whose stream has paid for a handshake.
struct AdmittedReceiver<'a> {
    hello: ChargedHello<'a>,
    turn: Turn,
    resumption: Resumption,
    route: Route,
}

/// Scans the shared files, completes the handshake with a receiver, and serves its download.
async fn serve_receiver(share: Arc<Share>, receiver: AdmittedReceiver<'_>, (mut send, mut recv): (SendHalf, RecvHalf)) {
    let AdmittedReceiver { hello, turn, resumption, route } = receiver;
    let number = share.next_receiver();
    // A receiver that is admitted while the share is closing may finish its download, so no time limit applies to it.
    let is_closing = share.is_closing();
    let handshake = async {
        let (early, offer) = tokio::select! {
            prepared = notify_while(&mut send, prepare_offer(&share, number, &resumption)) => prepared,
            () = out_of_turn(&mut recv) => return Err(hello.abandon((send, recv))),
        };
        debug!("receiver {number} has sent its hello");
        hello.confirm(early, (send, recv)).await.map(|session| (session, offer))
    };
    let outcome = tokio::select! {
        biased; // a confirmed receiver is served even if it is revoked at the same time
        outcome = handshake => outcome,
        () = turn.revoked() => return,
        () = closing_grace(&share), if !is_closing => return,
    };
    drop(turn);
    match outcome {
        Ok((session, offer)) => {
            debug!("receiver {number} has confirmed");
            let download = Download::new(share, number, route, session.stream.clone());
            download.run(session, resumption.id, offer).await;
        }
        Err(failure) => report_failure(&share, number, failure),
    }
}

/// Returns the first record for a receiver, and the rest of the offer or the reason why there is none.
async fn prepare_offer(
    share: &Share,
    number: u64,
    resumption: &Resumption,
) -> (RecordBuilder, Result<PreparedOffer, DownloadError>) {
    if share.pipe().is_some_and(PipeUse::is_taken) {
        return (RecordBuilder::new(), Err(DownloadError::pipe_taken()));
    }
    match PreparedOffer::new(share).await {
        Ok(mut offer) => (offer.first_record(resumption), Ok(offer)),
        Err(e) => {
            let e = DownloadError::Local(FailureReason::Source, report_unreadable(share, number, &e));
            (RecordBuilder::new(), Err(e))
        }
    }
}

/// Reports to the user that the shared files cannot be read, and returns the error for the receiver, which must not
/// learn paths of this machine.
fn report_unreadable(share: &Share, number: u64, e: &Error) -> Error {
    if let Some(times) = share.unreadable().note() {
        let message = format!("cannot serve {}: {}", affected(times, number), e.message());
        share.events().report(Event::warning("source", message, e));
    }
    Error::new(e.kind(), "the shared files are missing or unreadable")
}

/// Returns the name of one receiver, or the number of receivers since the last report.
fn affected(times: u64, number: u64) -> String {
    if times == 1 { receiver_label(number) } else { count(times, "receiver") }
}

/// Reports a handshake that failed after it was charged.
fn report_failure(share: &Share, number: u64, failure: HandshakeFailure) {
    if failure == HandshakeFailure::Unconfirmed {
        let (guesses_left, peer) = (share.guess_budget().remaining(), receiver_label(number));
        share.events().report(Event::WrongCode { download: number, peer, guesses_left });
        share.check_code_retired();
    }
    report_pressure(share);
}

/// Reports a refused stream.
fn report_refusal(share: &Share, failure: HandshakeFailure) {
    match failure {
        HandshakeFailure::Retired => share.check_code_retired(),
        HandshakeFailure::Disk(e) => {
            if let Some(times) = share.unsaved_budget().note() {
                let message = format!("cannot admit {}: {}", count(times, "receiver"), e.message());
                share.events().report(Event::warning("state", message, &e));
            }
            return;
        }
        HandshakeFailure::NotCharged | HandshakeFailure::Unconfirmed => {}
    }
    report_pressure(share);
}

/// Counts a stream that ended without a valid code, and warns the user if there are many.
fn report_pressure(share: &Share) {
    if let Some(warning) = share.pressure().note_failure() {
        share.events().report(warning);
    }
}
