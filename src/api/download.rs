//! A download that runs in the background.

use std::{
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{background_task::BackgroundTask, event_stream::EventStream};
use crate::{
    error::{Error, Kind, Result},
    event::{Event, EventReceiver, Events, Finished},
    transfer::{Destination, DownloadEnd, PendingOffer, PlannedDownload},
};

/// A download that runs in the background.
///
/// It is a [`Stream`] of events, which ends with the download. If nobody takes the events, the download continues all
/// the same. Dropping it interrupts the download. What has arrived remains in a folder beside the target, and a later
/// download of the same share to the same place continues from there.
#[derive(Debug)]
pub struct Download {
    events: EventStream<DownloadEvent>,
    task: BackgroundTask<Saved>,
}

/// An event of a download.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DownloadEvent {
    /// More content has arrived. At most ten per second.
    Progress {
        /// Bytes of content so far.
        bytes: u64,
        /// All bytes of content, if their number is known.
        total: Option<u64>,
        /// The rate of the last seconds in bytes per second.
        rate: u64,
    },
    /// The connection is lost; an attempt to connect again begins.
    Reconnecting {
        /// What happened.
        reason: String,
    },
    /// The download continues.
    Reconnected,
    /// Something does not work as it should, and the download continues.
    Warning {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What a download has saved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// The paths at the top level.
    pub paths: Vec<PathBuf>,
    /// The number of files.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
}

impl Download {
    pub(super) fn start(
        offer: PendingOffer,
        destination: Destination,
        events: Events,
        reported: EventReceiver,
    ) -> Self {
        let task = BackgroundTask::start(|interrupt| async move {
            let planned = PlannedDownload::new(offer, destination, &events).await?;
            match planned.accept(&events, interrupt.wait()).await? {
                DownloadEnd::Saved(finished) => Ok(finished.into()),
                DownloadEnd::OfferChanged(changed) => {
                    let e = Error::new(Kind::Transfer, "the sender was restarted and offers something else")
                        .hint("connect again to see the new offer");
                    changed.abort(&e).await;
                    Err(e)
                }
            }
        });
        Self { events: EventStream::new(reported, DownloadEvent::of), task }
    }

    /// Waits for the next event; `None` when the download has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub async fn next_event(&mut self) -> Option<DownloadEvent> {
        self.events.next().await
    }

    /// Waits until everything is verified and saved. Incomplete files never appear under their final names.
    ///
    /// # Errors
    /// An [`Error`] of any kind. [`ErrorKind::Transfer`](crate::ErrorKind::Transfer) if the sender could not
    /// send some of the files; all others are saved then.
    ///
    /// # Panics
    /// If it has returned before.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the download continues.
    pub async fn finish(&mut self) -> Result<Saved> {
        self.task.finish().await
    }

    /// Interrupts the download, unless it has ended. What has arrived remains for a later download.
    ///
    /// # Errors
    /// The [`Error`] that had ended the download before.
    pub async fn stop(self) -> Result<()> {
        self.task.stop().await
    }
}

impl Stream for Download {
    type Item = DownloadEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<DownloadEvent>> {
        self.events.poll_next(context)
    }
}

impl DownloadEvent {
    /// Converts an event that is one for the user of the library.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Progress { bytes, total, rate, .. } => Self::Progress { bytes: *bytes, total: *total, rate: *rate },
            Event::Reconnecting { reason, .. } => Self::Reconnecting { reason: reason.clone() },
            Event::Reconnected { .. } => Self::Reconnected,
            Event::Warning { message, hint, .. } => Self::Warning { message: message.clone(), hint: hint.clone() },
            _ => return None,
        })
    }
}

impl From<Finished> for Saved {
    fn from(finished: Finished) -> Self {
        let Finished { paths, files, bytes, .. } = finished;
        Self { paths, files, bytes }
    }
}
