//! A download to standard output, or to memory for a text that is shown.

use std::{
    io::{self, Write},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    finished_download::{EntryCounts, finish},
    offer::PendingOffer,
    offer_summary::summarize,
    session_download::{RequestedEntries, SessionDownload, SessionDownloadError},
};
use crate::{
    disk::{EarlierDownload, OutputForm, OutputSink, PublishedDownload, StandardOutput},
    error::{Error, Kind, Result},
    event::{Event, Events},
    manifest::{Manifest, ShareKind},
    sync::Mutex,
    transfer::user_errors::pipe_failed,
    wire::peer::DownloadOutcome,
};

/// How a download to standard output has ended, unless it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputEnd {
    /// Everything is written.
    Written,
    /// The reader of standard output has closed its end.
    ReaderClosed,
}

/// The text of a share while it arrives. Clones share it.
#[derive(Debug, Clone, Default)]
struct TextBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for TextBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes); // bounded by the size in the manifest
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingOffer {
    /// Whether the share is a text, which is shown if the user names no file for it.
    pub fn is_text(&self) -> bool {
        self.manifest.kind() == ShareKind::Text
    }

    /// Downloads a text, reports it as an [`Event::Text`], and returns it.
    ///
    /// # Errors
    /// An [`Error`] of any [`Kind`].
    pub async fn show_text(
        self,
        max_size: Option<u64>,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<String> {
        let buffer = TextBuffer::default();
        let (arrived, mut text) = (buffer.clone(), String::new());
        let report = |published: &mut PublishedDownload| {
            published.paths.clear();
            text = String::from_utf8_lossy(&arrived.0.lock()).into_owned();
            events.report(Event::Text { text: text.clone() });
        };
        self.write_output((OutputForm::Content, max_size), buffer, report, events, interrupt).await?;
        Ok(text)
    }

    /// Writes everything that is selected to standard output, as it arrives.
    ///
    /// # Errors
    /// An [`Error`] of any [`Kind`]: [`Kind::Usage`] if the selection does not fit the form, [`Kind::Disk`] if it has
    /// more than `max_size` bytes or cannot be written. What was written before an error remains written.
    pub async fn write_to(
        self,
        output: StandardOutput,
        form: OutputForm,
        max_size: Option<u64>,
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<OutputEnd> {
        let reader = output.reader();
        match self.write_output((form, max_size), output, |_| {}, events, interrupt).await {
            Err(_) if reader.has_closed() => Ok(OutputEnd::ReaderClosed),
            written => written.map(|()| OutputEnd::Written),
        }
    }

    /// Writes everything that is selected to `out`. Calls `on_complete` when it is complete, before the report.
    async fn write_output(
        self,
        (form, max_size): (OutputForm, Option<u64>),
        out: impl Write + Send + 'static,
        on_complete: impl FnOnce(&mut PublishedDownload),
        events: &Events,
        interrupt: impl Future<Output = ()>,
    ) -> Result<()> {
        let Self { mut session, manifest, mut sender, .. } = self;
        let sink = match OutputSink::new(Arc::clone(&manifest), form, out, max_size) {
            Ok(sink) => sink,
            Err(e) => {
                session.close(DownloadOutcome::Declined).await;
                return Err(e);
            }
        };
        let (started, route) = (Instant::now(), Arc::clone(&session.route));
        // A restarted receiver shows with it that it is the same one. The sender of a pipe then stops waiting.
        sender.store_resumption(session.resumption.take());
        events.report(Event::Offer(summarize(&manifest, EarlierDownload::default())));
        let request = RequestedEntries::new(&manifest, 0..manifest.len(), manifest.bytes());
        let rate_limiter = sender.rate_limiter();
        let download = SessionDownload { request, open_sink: move || sink.begin(), rate_limiter, events };
        tokio::pin!(interrupt);
        let mut saved = download.run(session, interrupt.as_mut()).await.map_err(|e| explain(e, &manifest))?;
        sender.remove_resumption();
        on_complete(&mut saved.published);
        let took = (started.elapsed().as_secs_f64(), *route.lock());
        let finished = finish(saved, &EntryCounts::of_all(&manifest), took, events, interrupt).await;
        finished.map(|_| ()).map_err(|e| with_hint(e, &manifest))
    }
}

/// Explains the end of a download that no other session can continue.
fn explain(e: SessionDownloadError, manifest: &Manifest) -> Error {
    match e {
        SessionDownloadError::Fatal(e) => with_hint(e, manifest),
        SessionDownloadError::SessionUnknown => {
            with_hint(Error::new(Kind::Network, "the sender was restarted in the middle of the download"), manifest)
        }
    }
}

/// Replaces the hints to resume or to repeat a download, which do not hold for what goes to standard output.
fn with_hint(e: Error, manifest: &Manifest) -> Error {
    if manifest.bytes().is_none() {
        return pipe_failed(e);
    }
    match e.kind() {
        Kind::Interrupted | Kind::Network | Kind::Transfer => {
            e.hint("what goes to standard output cannot be resumed; run the same command to begin again")
        }
        _ => e,
    }
}
