//! A share that serves receivers in the background.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{background_task::BackgroundTask, share_event::ShareEvent};
use crate::{
    client::OpenShare,
    code::Revealed,
    error::{Kind, Result},
    event::{EventReceiver, Events},
};

/// Files, folders or a text behind a code. Receivers are served in the background.
///
/// It is a [`Stream`] of events, which ends with the share. If nobody takes the events, the share works all the same.
/// Dropping the share ends it: its code becomes invalid, and running downloads are interrupted.
#[derive(Debug)]
pub struct Share {
    code: Revealed,
    link: Revealed,
    task: BackgroundTask<ShareEvent, ()>,
}

impl Share {
    pub(super) fn serve(open: OpenShare, events: Events, reported: EventReceiver) -> Self {
        let (code, link) = (open.code().reveal(), open.link().reveal());
        let mut latest = code.as_str().to_owned();
        let convert = move |event| ShareEvent::of(event, &mut latest);
        let task = BackgroundTask::start(reported, convert, |interrupt| open.serve(events, interrupt.wait()));
        Self { code, link, task }
    }

    /// Returns the code, with which `qshare recv` and [`ReceiveOptions`](crate::ReceiveOptions) download.
    pub fn code(&self) -> &str {
        self.code.as_str()
    }

    /// Returns the link, which contains the code and the relay.
    pub fn link(&self) -> &str {
        self.link.as_str()
    }

    /// Waits for the next event; `None` when the share has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no event is lost.
    pub async fn next_event(&mut self) -> Option<ShareEvent> {
        self.task.next_event().await
    }

    /// Waits until the share ends by itself: after its last download, or when it expires.
    ///
    /// # Errors
    /// The [`Error`](crate::Error) that has ended the share.
    pub async fn finish(self) -> Result<()> {
        self.task.finish().await
    }

    /// Ends the share now. Running downloads are interrupted.
    ///
    /// # Errors
    /// The [`Error`](crate::Error) that had ended the share before.
    pub async fn stop(self) -> Result<()> {
        match self.task.stop().await {
            Err(e) if e.kind() == Kind::Interrupted => Ok(()), // by this call
            outcome => outcome,
        }
    }
}

impl Stream for Share {
    type Item = ShareEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ShareEvent>> {
        self.task.poll_event(context)
    }
}
