//! A share that serves receivers in the background.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{background_task::BackgroundTask, event_stream::EventStream, share_event::ShareEvent};
use crate::{
    client::OpenShare,
    error::Result,
    event::{EventReceiver, Events, Sharing},
    sync::Mutex,
};

/// Files, folders or a text behind a code. Receivers are served in the background.
///
/// It is a [`Stream`] of events, which ends with the share. If nobody takes the events, the share works all the same.
/// Dropping the share ends it soon, if the runtime still runs: its code becomes invalid, and running downloads are
/// interrupted. [`Share::stop`] waits for that.
#[derive(Debug)]
pub struct Share {
    /// What was reported of the share last.
    sharing: Arc<Mutex<Sharing>>,
    events: EventStream<ShareEvent>,
    task: BackgroundTask<()>,
}

impl Share {
    pub(super) fn serve(open: OpenShare, events: Events, reported: EventReceiver) -> Self {
        let sharing = open.sharing();
        let task = BackgroundTask::start(|interrupt| open.serve(events, interrupt.wait()));
        Self { sharing, events: EventStream::new(reported, ShareEvent::of), task }
    }

    /// Returns the present code. `qshare recv` and [`ReceiveOptions`](crate::ReceiveOptions) download with it.
    pub fn code(&self) -> String {
        self.sharing.lock().code.to_string()
    }

    /// Returns the present link, which contains the code and the relay.
    pub fn link(&self) -> String {
        self.sharing.lock().link.to_string()
    }

    /// Waits for the next event; `None` when the share has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub async fn next_event(&mut self) -> Option<ShareEvent> {
        self.events.next().await
    }

    /// Waits until the share ends by itself: after its last download, or when it expires.
    ///
    /// # Errors
    /// The [`Error`](crate::Error) that has ended the share.
    ///
    /// # Panics
    /// If it has returned before.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the share continues.
    pub async fn finish(&mut self) -> Result<()> {
        self.task.finish().await
    }

    /// Ends the share now. Running downloads are interrupted.
    ///
    /// # Errors
    /// The [`Error`](crate::Error) that had ended the share before.
    pub async fn stop(self) -> Result<()> {
        self.task.stop().await
    }
}

impl Stream for Share {
    type Item = ShareEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ShareEvent>> {
        self.events.poll_next(context)
    }
}
