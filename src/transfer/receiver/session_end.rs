//! The end of a session without a complete download: the receiver reports the outcome to the sender.

use super::{done_delivery::deliver_done, reconnect::Reconnector};
use crate::{
    error::{Error, Kind},
    transfer::{session::SessionWriter, user_errors::message_for_peer},
    wire::peer::{Done, DownloadOutcome},
};

/// Reports to the sender that the download failed, and closes the session.
pub(super) async fn report_failure(writer: SessionWriter, reconnector: Reconnector, error: &Error) {
    let done = Done { outcome: outcome_of(error.kind()), message: message_for_peer(error) };
    send_done(writer, reconnector, done).await;
}

/// Reports a deliberate outcome to the sender, and closes the session.
pub(super) async fn report_outcome(writer: SessionWriter, reconnector: Reconnector, outcome: DownloadOutcome) {
    send_done(writer, reconnector, Done { outcome, message: String::new() }).await;
}

/// Sends the last record, and closes the session.
async fn send_done(writer: SessionWriter, reconnector: Reconnector, done: Done) {
    deliver_done(writer, done).await;
    reconnector.close().await;
}

fn outcome_of(kind: Kind) -> DownloadOutcome {
    match kind {
        Kind::Disk => DownloadOutcome::Disk,
        Kind::Corrupt => DownloadOutcome::Corrupt,
        Kind::Interrupted => DownloadOutcome::Interrupted,
        Kind::Transfer | Kind::Usage | Kind::NotFound | Kind::WrongCode | Kind::Network | Kind::Refused => {
            DownloadOutcome::Failed
        }
    }
}
