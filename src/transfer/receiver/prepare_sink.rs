//! Prepares the staging folder: data of an earlier download is hashed before the request.

use std::time::Duration;

use tokio::time::interval;

use super::receive_error::ReceiveError;
use crate::{
    blocking::run_blocking,
    disk::{HashProgress, Plan, Sink},
    event::Event,
    transfer::{
        events::Events,
        session::{RecordBuilder, SessionWriter},
        timeouts::PROGRESS_INTERVAL,
    },
    wire::peer::HashingStaged,
};

/// The interval of the notices that hashing continues. The sender waits longer than this for a notice or the request.
const HASHING_NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// Creates the sink, which hashes staged data. Meanwhile, reports the progress to `events` and sends [`HashingStaged`]
/// to the sender.
///
/// # Errors
/// Those of [`Sink::new`] and of the session.
pub(super) async fn prepare_sink(
    plan: Plan,
    writer: &mut SessionWriter,
    events: &Events,
) -> Result<Sink, ReceiveError> {
    let (progress, total) = (HashProgress::default(), plan.staged_bytes());
    let _cancel = progress.cancel_on_drop();
    let hashed = progress.clone();
    let sink = run_blocking(move || Sink::new(plan, &hashed));
    tokio::pin!(sink);
    let (mut report, mut notice) = (interval(PROGRESS_INTERVAL), interval(HASHING_NOTICE_INTERVAL));
    report.reset();
    notice.reset();
    loop {
        tokio::select! {
            sink = &mut sink => return sink.map_err(ReceiveError::Final),
            _ = report.tick(), if total > 0 => events.try_report(Event::Checking { bytes: progress.bytes(), total }),
            _ = notice.tick() => writer.send(RecordBuilder::from_message(&HashingStaged {})?).await?,
        }
    }
}
