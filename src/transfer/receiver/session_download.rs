//! Runs a download in one session: request, content, and final names.

use std::sync::Arc;

use super::{
    completion::CompletionNotice,
    confirmed_session::ConfirmedSession,
    file_writer::FileWriter,
    group_offer::GroupOffer,
    pipeline::{Pipeline, ReceivedContent},
    progress::ReceiveProgress,
    reattach::ReattachFailure,
    receive_error::ReceiveError,
    reconnect::Reconnector,
    request::{encode_request, ranges},
    session_end::report_failure,
};
use crate::{
    background::with_background,
    blocking::run_blocking,
    crypto::Opener,
    disk::{Plan, PublishedDownload, Sink},
    error::{Error, Result},
    event::Events,
    rate_limiter::RateLimiter,
    transfer::session::{SessionReader, SessionWriter, receive_window::ReceiveWindow},
    wire::peer::DownloadOutcome,
};

/// The part of a download that runs in one session.
pub(super) struct SessionDownload<'a> {
    pub(super) plan: Plan,
    pub(super) rate_limiter: Option<RateLimiter>,
    pub(super) events: &'a Events,
}

/// A download whose entries are verified and have their final names.
pub(super) struct SavedDownload {
    pub(super) published: PublishedDownload,
    pub(super) bytes: u64,
    /// The notice to the sender.
    pub(super) completion: CompletionNotice,
}

/// Why a session did not complete the download.
pub(super) enum SessionDownloadError {
    /// The download has failed.
    Fatal(Error),
    /// The sender is reachable and does not know the session. Another session can resume the download.
    SessionUnknown,
}

impl SessionDownload<'_> {
    /// Downloads the content that is not staged, and gives every entry its final name.
    pub(super) async fn run(
        self,
        session: ConfirmedSession,
        interrupt: impl Future<Output = ()>,
    ) -> Result<SavedDownload, SessionDownloadError> {
        let ConfirmedSession { mut writer, reader, opener, window, mut reconnector, .. } = session;
        let events = self.events;
        let receiving = self.receive(&mut writer, reader, opener, window);
        let received = tokio::select! {
            received = with_background(receiving, reconnector.report_events(events)) => received,
            () = interrupt => Err(ReceiveError::Interrupted),
        };
        // Publishing is short and is not interrupted.
        let published = match received {
            Ok(content) => publish(content).await,
            Err(e) => Err(e),
        };
        match published {
            Ok(PublishedContent { reader, opener, published, bytes }) => {
                let outcome =
                    if published.failed.is_empty() { DownloadOutcome::Ok } else { DownloadOutcome::Incomplete };
                let completion = CompletionNotice { writer, reader, opener, reconnector, outcome };
                Ok(SavedDownload { published, bytes, completion })
            }
            Err(e) => Err(end_session(writer, reconnector, e).await),
        }
    }

    async fn receive(
        self,
        writer: &mut SessionWriter,
        reader: SessionReader,
        opener: Opener,
        window: ReceiveWindow,
    ) -> Result<ReceivedContent, ReceiveError> {
        let Self { plan, rate_limiter, events } = self;
        let total = plan.bytes();
        let manifest = Arc::clone(plan.manifest());
        let wanted = (0..manifest.len()).filter(|index| plan.wants(*index));
        let wanted = ranges(wanted.map(|index| manifest.number(index)));
        let (sink, hasher) = run_blocking(move || {
            let sink = Sink::new(plan)?;
            let hasher = sink.hash_staged()?;
            Ok((sink, hasher))
        })
        .await
        .map_err(ReceiveError::Final)?;
        let request = encode_request(&manifest, sink.staged(), wanted)?;
        let offer = GroupOffer::new(manifest, hasher, sink.staged().iter().map(|file| file.bytes).sum());
        let file_writer = FileWriter::new(opener, sink, reader.stream());
        let progress = ReceiveProgress::new(events, file_writer.bytes(), total);
        Pipeline { writer, window, rate_limiter, progress, offer }.run(request, reader, file_writer).await
    }
}

/// Content whose entries have their final names.
struct PublishedContent {
    reader: SessionReader,
    opener: Opener,
    published: PublishedDownload,
    bytes: u64,
}

async fn publish(content: ReceivedContent) -> Result<PublishedContent, ReceiveError> {
    let ReceivedContent { reader, file_writer } = content;
    let bytes = file_writer.bytes();
    let (opener, published) = run_blocking(move || file_writer.publish()).await.map_err(ReceiveError::Final)?;
    Ok(PublishedContent { reader, opener, published, bytes })
}

/// Ends a session that failed. If its stream could not be replaced, the reason for that explains more than `error`, and
/// there is no stream on which to report it to the sender.
async fn end_session(writer: SessionWriter, reconnector: Reconnector, error: ReceiveError) -> SessionDownloadError {
    match reconnector.failure().filter(|_| error.is_disconnection()).cloned() {
        Some(failure) => {
            reconnector.close().await;
            match failure {
                ReattachFailure::UnknownSession => SessionDownloadError::SessionUnknown,
                ReattachFailure::Failed(e) => SessionDownloadError::Fatal(e),
            }
        }
        None => {
            let e = Error::from(error);
            report_failure(writer, reconnector, &e).await;
            SessionDownloadError::Fatal(e)
        }
    }
}
