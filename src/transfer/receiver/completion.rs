//! Flight 5 of a complete download: the receiver reports it to the sender and waits for the acknowledgement.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::reconnect::Reconnector;
use crate::{
    background::with_background,
    crypto::Opener,
    event::{Event, Events},
    transfer::session::{RecordBuilder, SessionReader, SessionWriter},
    wire::peer::{Done, DownloadOutcome},
};

/// How long the sender may take to acknowledge. The entries are saved in any case. If the sender has lost its
/// connection, the relay reports that earlier, after 12 to 15 s.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// The limit of the whole wait while the stream is broken: the session may still be reattached.
const BROKEN_ACK_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the wait lasts before its reason is reported to the user.
const EXPLANATION_DELAY: Duration = Duration::from_secs(2);

/// The notice to the sender that the download is complete, not sent yet.
pub(super) struct CompletionNotice {
    pub(super) writer: SessionWriter,
    pub(super) reader: SessionReader,
    pub(super) opener: Opener,
    pub(super) reconnector: Reconnector,
    /// [`DownloadOutcome::Ok`] or [`DownloadOutcome::Incomplete`].
    pub(super) outcome: DownloadOutcome,
}

impl CompletionNotice {
    /// Sends the notice. Waits until the sender acknowledges it, until a timeout, or until `interrupt` completes.
    pub(super) async fn send(self, events: &Events, interrupt: impl Future<Output = ()>) {
        let Self { writer, reader, opener, mut reconnector, outcome } = self;
        let explanation = async {
            sleep(EXPLANATION_DELAY).await;
            let message = "waiting for the sender to confirm the end of the download".to_owned();
            let hint = Some("everything has arrived; press Ctrl-C to stop waiting".to_owned());
            events.report(Event::Warning { kind: "goodbye", message, hint });
        };
        let notice = with_background(send_done(writer, reader, opener, outcome), explanation);
        tokio::select! {
            () = with_background(notice, reconnector.report_events(events)) => {}
            () = interrupt => {}
        }
        reconnector.close().await;
    }
}

async fn send_done(writer: SessionWriter, mut reader: SessionReader, mut opener: Opener, outcome: DownloadOutcome) {
    let stream = reader.stream();
    let notice = async {
        let done = Done { outcome, message: String::new() };
        let Ok(record) = RecordBuilder::from_message(&done) else { return };
        let Ok(mut closing) = writer.close(record) else { return };
        debug!("the completion is sealed");
        // The acknowledgement is the sender's last record.
        let acknowledgement = async { while let Ok(Some(_)) = reader.read_record(&mut opener).await {} };
        closing.flush_while(acknowledgement).await;
        debug!("the completion is acknowledged");
    };
    tokio::pin!(notice);
    let started = Instant::now();
    while timeout(ACK_TIMEOUT, notice.as_mut()).await.is_err()
        && stream.is_broken()
        && started.elapsed() < BROKEN_ACK_TIMEOUT
    {}
}
