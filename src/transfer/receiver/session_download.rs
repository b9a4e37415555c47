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
    disk::{ContentSink, PublishedDownload},
    error::{Error, Result},
    event::Events,
    manifest::Manifest,
    rate_limiter::RateLimiter,
    transfer::session::{SessionReader, SessionWriter, receive_window::ReceiveWindow},
    wire::peer::DownloadOutcome,
};

/// The part of a download that runs in one session.
pub(super) struct SessionDownload<'a, F> {
    /// The entries to request.
    pub(super) request: RequestedEntries,
    /// Opens the sink for their content. It may block.
    pub(super) open_sink: F,
    pub(super) rate_limiter: Option<RateLimiter>,
    pub(super) events: &'a Events,
}

/// The entries that a download requests.
pub(super) struct RequestedEntries {
    pub(super) manifest: Arc<Manifest>,
    /// Half-open ranges of their numbers in the sender's manifest.
    pub(super) ranges: Vec<(u32, u32)>,
    /// The bytes of their content, if known.
    pub(super) bytes: Option<u64>,
}

/// A download whose entries are verified and have their final names, or are written to a stream.
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

impl RequestedEntries {
    /// Creates a request for the entries of `manifest` at these indices, which have `bytes` bytes of content.
    pub(super) fn new(manifest: &Arc<Manifest>, indices: impl Iterator<Item = usize>, bytes: Option<u64>) -> Self {
        let ranges = ranges(indices.map(|index| manifest.number(index)));
        Self { manifest: Arc::clone(manifest), ranges, bytes }
    }
}

impl<S: ContentSink, F: FnOnce() -> Result<S> + Send + 'static> SessionDownload<'_, F> {
    /// Downloads the content that is not staged, and completes the sink.
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
    ) -> Result<ReceivedContent<S>, ReceiveError> {
        let Self { request: RequestedEntries { manifest, ranges, bytes }, open_sink, rate_limiter, events } = self;
        let (sink, hasher) = run_blocking(move || {
            let sink = open_sink()?;
            let hasher = sink.hash_staged()?;
            Ok((sink, hasher))
        })
        .await
        .map_err(ReceiveError::Final)?;
        let request = encode_request(&manifest, sink.staged(), ranges)?;
        let offer = GroupOffer::new(manifest, hasher, sink.staged().iter().map(|file| file.bytes).sum());
        let file_writer = FileWriter::new(opener, sink, reader.stream());
        let progress = ReceiveProgress::new(events, file_writer.bytes(), bytes);
        Pipeline { writer, window, rate_limiter, progress, offer }.run(request, reader, file_writer).await
    }
}

/// Content whose sink is complete.
struct PublishedContent {
    reader: SessionReader,
    opener: Opener,
    published: PublishedDownload,
    bytes: u64,
}

async fn publish(content: ReceivedContent<impl ContentSink>) -> Result<PublishedContent, ReceiveError> {
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
