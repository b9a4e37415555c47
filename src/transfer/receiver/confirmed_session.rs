//! A proved session as the receiver has it, from the first words to the last.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::transfer::handshake::{Credential, Established, Initiator, InitiatorOptions};
use crate::transfer::receiver::reconnect::{ReattachContext, ReconnectConfig, Reconnector};
use crate::transfer::receiver::resumption_store::StoredResumption;
use crate::transfer::relay_request::send_relay_request;
use crate::transfer::session::manifest_decoder::ManifestDecoder;
use crate::transfer::session::receive_window::ReceiveWindow;
use crate::transfer::session::{RecordBuilder, SessionReader, SessionWriter};
use crate::transfer::user_errors::{explain_session_error, message_for_peer, resumption_rejected, sender_stalled};
use crate::{
    code::Code,
    crypto::{Opener, Resumption},
    error::{Error, Kind, Result},
    manifest::Manifest,
    net::{Connection, StreamError},
    wire::{
        peer::{Done, DownloadOutcome},
        relay::{ConnectReply, ConnectRequest},
    },
};

/// How long the sender may take to acknowledge the end; what is saved is saved in any case. That its line is dead is known
/// before: the relay says so after 12 to 15 s.
const DONE_ACK_WITHIN: Duration = Duration::from_secs(20);

/// The same where the line has died before the sender could hear of the end.
const DONE_ACK_WITHIN_AFTER_CUT: Duration = Duration::from_secs(60);

/// How long a goodbye may take that nobody depends on.
const REFUSAL_WITHIN: Duration = Duration::from_millis(500);

/// Tells a sender that is silent, though its line lives and it may send, from one that has a reason to be.
#[derive(Default)]
pub(crate) struct StallDetector {
    was_silent: bool,
}

impl StallDetector {
    /// Silence is counted in steps of this length. In two of them something must arrive; the first one may have begun when
    /// the line was dead.
    pub(crate) const STEP: Duration = Duration::from_secs(15);

    /// For a step nothing came, of a sender that `may_send`.
    ///
    /// # Errors
    /// [`Kind::Network`]: it was silent for too long.
    pub(crate) fn nothing_came(&mut self, may_send: bool) -> Result<()> {
        if may_send && self.was_silent {
            return Err(sender_stalled());
        }
        self.was_silent = may_send;
        Ok(())
    }
}

/// A confirmed session, seen from the receiver.
pub(crate) struct ConfirmedSession {
    pub(crate) out: SessionWriter,
    pub(crate) incoming: SessionReader,
    pub(crate) opener: Opener,
    pub(crate) window: ReceiveWindow,
    pub(crate) keeper: Reconnector,
    /// What to come back with, where the sender has given it.
    pub(crate) known: Option<StoredResumption>,
}

impl ConfirmedSession {
    /// Proves to know the code, or to have been with this sender before, and gets its manifest.
    pub(crate) async fn begin(
        connection: &Connection,
        code: &Code,
        back: &ReconnectConfig,
        known: Option<&StoredResumption>,
    ) -> Result<(Self, Manifest)> {
        let credential = match known {
            Some(known) => Credential::Resumption { slot: code.slot(), resumption: &known.resumption },
            None => Credential::Code(code),
        };
        let options = InitiatorOptions { can_reattach: !back.retry_for.is_zero(), ..InitiatorOptions::default() };
        let initiator = Initiator::new(credential, options).map_err(|e| explain_session_error(&e.into()))?;
        let question = ConnectRequest { slot: code.slot(), token: None, pass: known.map(|known| known.pass.clone()) };
        // Flight 1 does not wait for the relay's answer.
        let (send, recv, ConnectReply { limits, pass }) =
            send_relay_request(connection, &question, initiator.flight_1()).await?;
        let established = match initiator.complete(send, recv).await {
            Err(e) if e.kind() == Kind::WrongCode && known.is_some() => return Err(resumption_rejected()),
            established => established?,
        };
        let Established {
            writer: out,
            reader: mut incoming,
            opener,
            stream: carrier,
            attach_key: attaching,
            round_trip,
            ..
        } = established;
        debug!("the session is proved after {round_trip:?}");
        let window = ReceiveWindow::new(limits.bridge_bytes, round_trip, Instant::now());
        incoming.set_reorder_window(window.max_size());
        let connection = connection.clone();
        let session = ReattachContext { slot: code.slot(), carrier, attaching, connection, pass: pass.clone() };
        let keeper = Reconnector::new(session, back.clone());
        let mut line = Self { out, incoming, opener, window, keeper, known: None };
        match line.manifest().await {
            Ok((manifest, welcome)) => {
                let known = welcome.map(|resumption| StoredResumption { resumption, pass });
                Ok((Self { known, ..line }, manifest))
            }
            Err(e) => Err(line.refuse(e).await),
        }
    }

    async fn manifest(&mut self) -> Result<(Manifest, Option<Resumption>)> {
        let (mut collector, mut stall) = (ManifestDecoder::default(), StallDetector::default());
        let carrier = self.incoming.stream();
        loop {
            let next = self.out.flush_while(self.incoming.read_record(&mut self.opener));
            let Ok(next) = timeout(StallDetector::STEP, next).await else {
                stall.nothing_came(!carrier.is_broken())?;
                continue;
            };
            stall = StallDetector::default();
            let record = next
                .map_err(|e| explain_session_error(&e))?
                .ok_or_else(|| explain_session_error(&StreamError::EndedEarly.into()))?;
            if collector.push_record(&record)? {
                return collector.finish();
            }
            self.grant().await?;
        }
    }

    /// Grants credit for what was received, if it is time to.
    async fn grant(&mut self) -> Result<()> {
        if let Some(credit) = self.window.note_drained(self.incoming.received_bytes(), Instant::now()) {
            let record = RecordBuilder::from_message(&credit).map_err(|e| explain_session_error(&e.into()))?;
            let _ = self.out.send(record).await; // where that fails, what is read next says why
        }
        Ok(())
    }

    /// Tells the sender that nothing will come of it, and gives the reason back.
    pub(crate) async fn refuse(self, e: Error) -> Error {
        refuse(self.out, self.keeper, e).await
    }

    /// Sends the last record and waits a moment until the sender has it.
    pub(crate) async fn goodbye(self, outcome: DownloadOutcome) {
        goodbye(self.out, self.keeper, Done { outcome, message: String::new() }).await;
    }
}

/// [`ConfirmedSession::refuse`], where its parts have gone different ways.
pub(crate) async fn refuse(out: SessionWriter, keeper: Reconnector, e: Error) -> Error {
    let outcome = match e.kind() {
        Kind::Disk => DownloadOutcome::Disk,
        Kind::Corrupt => DownloadOutcome::Corrupt,
        Kind::Interrupted => DownloadOutcome::Interrupted,
        _ => DownloadOutcome::Failed,
    };
    goodbye(out, keeper, Done { outcome, message: message_for_peer(&e) }).await;
    e
}

async fn goodbye(out: SessionWriter, keeper: Reconnector, done: Done) {
    let saying = async {
        let Ok(record) = RecordBuilder::from_message(&done) else { return };
        if let Ok(mut leaving) = out.close(record) {
            leaving.deliver().await;
        }
    };
    let _ = timeout(REFUSAL_WITHIN, saying).await;
    keeper.close().await;
}

/// Flight 5: everything is verified and named. The sender's acknowledgement is awaited for a moment only, and a little
/// longer where the line has died just now.
pub(crate) async fn leave(out: SessionWriter, mut incoming: SessionReader, mut opener: Opener) {
    let carrier = incoming.stream();
    let leaving = async {
        let Ok(record) = RecordBuilder::from_message(&Done { outcome: DownloadOutcome::Ok, message: String::new() })
        else {
            return;
        };
        let Ok(mut leaving) = out.close(record) else { return };
        let acknowledged = async { while let Ok(Some(_)) = incoming.read_record(&mut opener).await {} };
        leaving.flush_while(acknowledged).await;
    };
    tokio::pin!(leaving);
    let began = Instant::now();
    while timeout(DONE_ACK_WITHIN, leaving.as_mut()).await.is_err()
        && carrier.is_broken()
        && began.elapsed() < DONE_ACK_WITHIN_AFTER_CUT
    {}
}
