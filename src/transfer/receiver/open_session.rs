//! Opens the session that has won the race: keeps it alive, and reads the sender's offer.

use std::sync::{Arc, OnceLock};

use tokio::time::{Instant, timeout};
use tracing::debug;

use super::{
    confirmed_session::ConfirmedSession,
    key_exchange::Confirmed,
    open_session_error::OpenSessionError,
    race::Winner,
    reattach::ReattachContext,
    receive_error::ReceiveError,
    reconnect::Reconnector,
    reconnect_config::ReconnectConfig,
    resumption_store::StoredResumption,
    stall_detector::{SilentSender, StallDetector},
};
use crate::{
    code::Slot,
    crypto::Resumption,
    manifest::Manifest,
    net::StreamError,
    sync::Mutex,
    transfer::{
        handshake::Established,
        session::{manifest_decoder::ManifestDecoder, receive_window::ReceiveWindow},
    },
    wire::relay::ConnectReply,
};

/// Reads the sender's offer in the session that has won the race, and keeps the session alive from now on.
///
/// # Errors
/// [`OpenSessionError::Offer`], which is reported to the sender.
pub(super) async fn open_session(
    winner: Winner,
    slot: Slot,
    config: &ReconnectConfig,
) -> Result<(ConfirmedSession, Manifest), OpenSessionError> {
    let Winner { found, confirmed, leftovers } = winner;
    let Confirmed { established, reply: ConnectReply { limits, pass, route } } = confirmed;
    let Established { writer, reader, opener, stream, attach_key, round_trip, .. } = established;
    debug!("session confirmed after {round_trip:?}");
    let connection = found.connected.connection.clone();
    connection.raise_receive_window();
    let window = ReceiveWindow::new(limits.bridge_bytes, config.rate_limit, round_trip, Instant::now());
    let resumption = Arc::<OnceLock<Resumption>>::default();
    let route = Arc::new(Mutex::new(route));
    let context = ReattachContext {
        slot,
        stream,
        attach_key,
        connection,
        pass: pass.clone(),
        route: Arc::clone(&route),
        resumption: Arc::clone(&resumption),
    };
    let reconnector = Reconnector::spawn(context, config, found.connected, leftovers);
    let mut session = ConfirmedSession { writer, reader, opener, window, reconnector, route, resumption: None };
    match read_offer(&mut session).await {
        Ok((manifest, granted)) => {
            if let Some(granted) = granted {
                let _ = resumption.set(granted.clone()); // this is the only place that sets it
                session.resumption = Some(StoredResumption { resumption: granted, pass });
            }
            Ok((session, manifest))
        }
        Err(e) => {
            session.abort(&e.clone().into()).await;
            Err(OpenSessionError::Offer(e))
        }
    }
}

/// Reads the manifest, and the resumption if the sender grants one.
async fn read_offer(session: &mut ConfirmedSession) -> Result<(Manifest, Option<Resumption>), ReceiveError> {
    session.grant_credit()?; // the first credit follows flight 3 at once
    let (mut decoder, mut stall) = (ManifestDecoder::default(), StallDetector::default());
    let stream = session.reader.stream();
    loop {
        let next = session.writer.flush_while(session.reader.read_record(&mut session.opener));
        let Ok(next) = timeout(StallDetector::STEP, next).await else {
            let sender = if stream.is_broken() { SilentSender::Blocked } else { SilentSender::CanSend };
            if stall.note_silent_step(sender) {
                return Err(ReceiveError::Stalled);
            }
            continue;
        };
        stall.note_arrival();
        let record = next?.ok_or(StreamError::EndedEarly)?;
        if decoder.push_record(&record).map_err(ReceiveError::Final)? {
            return decoder.finish().map_err(ReceiveError::Final);
        }
        session.grant_credit()?;
    }
}
