//! The offer of a sender.

use std::{fmt, future::pending};

use super::download::Download;
use crate::{
    error::{Error, Kind, Result},
    event::{EventReceiver, Events, ListedEntry},
    transfer::{Destination, PendingOffer},
};

/// What a sender offers. Nothing is downloaded yet. The sender waits half an hour for a decision. Dropping the offer
/// closes the connection.
pub struct Offer {
    pub(super) pending: PendingOffer,
    pub(super) destination: Destination,
    pub(super) events: Events,
    pub(super) reported: EventReceiver,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, files, bytes) = (self.name(), self.files(), self.bytes());
        f.debug_struct("Offer")
            .field("name", &name)
            .field("files", &files)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl Offer {
    /// Returns the name of the share, as the sender gave it. It is not trusted: it may look like anything.
    pub fn name(&self) -> &str {
        self.pending.name()
    }

    /// Returns the number of files.
    pub fn files(&self) -> u64 {
        self.pending.files()
    }

    /// Returns the bytes of content; `None` for a pipe, whose length is known at its end.
    pub fn bytes(&self) -> Option<u64> {
        self.pending.bytes()
    }

    /// Whether the share is a text, which [`Offer::text`] returns.
    pub fn is_text(&self) -> bool {
        self.pending.is_text()
    }

    /// Returns every file, folder and link, a folder before what is in it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ListedEntry> {
        self.pending.entries()
    }

    /// Accepts the offer: downloads and saves everything in the background.
    ///
    /// # Panics
    /// Outside of a tokio runtime. It must be the one in which the offer was received.
    pub fn download(self) -> Download {
        let Self { pending, destination, events, reported } = self;
        Download::start(pending, destination, events, reported)
    }

    /// Accepts a text, and returns it. Nothing is saved.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the share is no text; otherwise an [`Error`] of any
    /// kind.
    pub async fn text(self) -> Result<String> {
        if !self.is_text() {
            let e = Error::new(Kind::Usage, "the share is not a text");
            self.pending.abort(&e).await;
            return Err(e);
        }
        self.pending.show_text(None, &self.events, pending()).await
    }

    /// Declines the offer. The sender learns it.
    pub async fn decline(self) {
        self.pending.decline().await;
    }
}
