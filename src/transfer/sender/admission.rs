//! The door of a share: who comes in, at what price, and who is sent away.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::transfer::handshake::{
    HandshakeFailure, ResponderContext, ResumptionContext, answer, first_frame, refuse, turn_away,
};
use crate::transfer::sender::download::{Download, label};
use crate::transfer::sender::share::Share;
use crate::transfer::session::RecordBuilder;
use crate::transfer::session::manifest_codec::ManifestEncoder;
use crate::transfer::timeouts::REPLY;
use crate::{
    error::Error,
    event::Event,
    net::{OwnedFrame, RecvHalf, SendHalf},
    processor::Aes,
    wire::{
        Message,
        peer::{AlertReason, AttachRequest, Hello, HelloMode, ResumptionGrant},
        relay::IncomingDownload,
        reset_code::ENDED,
    },
};

/// A receiver takes itself for accepted as soon as the sender has proved itself. Where the share ends just then, the
/// receiver's own proof may arrive this much later: who gives it is told of the end. So long is also waited for the first
/// words of who comes when the share is about to end.
const LATE: Duration = Duration::from_secs(1);

/// Answers a stream that the relay opened, to its end. Whatever goes wrong stays in here.
pub(crate) async fn open(share: Arc<Share>, number: u64, (mut send, mut recv): (SendHalf, RecvHalf)) {
    match timeout(REPLY, recv.read_frame(0)).await {
        Ok(Ok(frame)) if frame.frame().decode::<IncomingDownload>().is_ok() => {}
        _ => return,
    }
    let first = tokio::select! {
        first = first_frame(&mut recv) => first,
        () = async { share.closing().await; sleep(LATE).await } => return send.reset(ENDED),
    };
    match first {
        Ok(first) if first.frame().kind == AttachRequest::TYPE => attach(&share, &first, (send, recv)).await,
        Ok(first) if share.is_closing() && !has_to_finish(&share, &first) => send.reset(ENDED),
        Ok(first) => greet(share, number, &first, (send, recv)).await,
        Err(Some(alert)) => drop(refuse(send, alert, 0).await),
        Err(None) => {}
    }
}

/// Whether it is a receiver that was started again, and has a download here that may finish although the share has ended.
fn has_to_finish(share: &Share, first: &OwnedFrame) -> bool {
    matches!(first.frame().decode(), Ok(Hello { mode: HelloMode::Resume(receiver), .. }) if share.sessions().is_of(&receiver))
}

/// Goes on with an older session over this stream.
async fn attach(share: &Share, first: &OwnedFrame, stream: (SendHalf, RecvHalf)) {
    let refused = match first.frame().decode() {
        Ok(question) => share.sessions().attach(&question, stream).await,
        Err(_) => Err(stream.0),
    };
    if let Err(send) = refused {
        refuse(send, AlertReason::UnknownSession, 0).await;
    }
}

/// A receiver says hello: what comes of it is a session, if it can prove itself.
async fn greet(share: Arc<Share>, number: u64, first: &OwnedFrame, (send, recv): (SendHalf, RecvHalf)) {
    let Ok(Hello { mode, .. }) = first.frame().decode() else {
        refuse(send, AlertReason::Malformed, 0).await;
        return;
    };
    let Some(stranger) = share.stranger() else { return turn_away(send).await };
    let (code, key) = share.code();
    let id = share.id();
    let receiver = match mode {
        HelloMode::Resume(receiver) => key.resumption(id.as_bytes(), receiver),
        HelloMode::Code => key.welcome(id.as_bytes()),
    };
    let offer = share.source().await.map(|source| (ManifestEncoder::new(Arc::clone(source.manifest())), source));
    let (early, offer) = match offer {
        Ok((mut outline, source)) => {
            let welcome = ResumptionGrant { id: receiver.id, key: *receiver.key };
            (outline.first(&welcome).unwrap_or_default(), Ok((outline, source)))
        }
        Err(e) => {
            // What it says of paths here is not for others.
            let message = format!("receiver {number} gets nothing: {}", e.message());
            share.events().report(Event::warning("source", message, &e)).await;
            (RecordBuilder::new(), Err(Error::new(e.kind(), "what is shared is gone or cannot be read")))
        }
    };
    debug!("receiver {number} says hello");
    let late = if share.is_closing() { Duration::MAX } else { LATE }; // who comes now has a download that may finish
    let returning = ResumptionContext { resumption: &receiver, unproved: share.unproved() };
    let doors = ResponderContext { code: &code, budget: share.budget(), returning: Some(returning) };
    let outcome = tokio::select! {
        outcome = answer(Aes::detect(), &doors, early, first, (send, recv)) => outcome,
        () = async { share.closing().await; sleep(late).await } => return,
    };
    drop(stranger);
    match outcome {
        Ok(session) => {
            let serving = Download::new(share, number, session.carrier.clone());
            serving.run(session, receiver.id, offer).await;
        }
        Err(HandshakeFailure::Unproved) => {
            let guesses_left = share.budget().left();
            share.events().report(Event::WrongCode { download: number, peer: label(number), guesses_left }).await;
            share.check_retired();
        }
        Err(HandshakeFailure::Retired) => share.check_retired(),
        Err(HandshakeFailure::Disk(e)) => {
            let message = format!("a receiver was turned away: {e}");
            share.events().report(Event::warning("state", message, &e)).await;
        }
        Err(HandshakeFailure::Broken) => {}
    }
}

#[cfg(test)]
mod tests;
