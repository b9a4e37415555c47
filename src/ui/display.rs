//! The thread that shows the events of a command, so that a blocked terminal or pipe does not hold up the work.

use std::{io, thread, time::Duration};

use tokio::{runtime::Builder, sync::oneshot, time::timeout};

use super::Ui;
use crate::event::{Event, EventReceiver};

/// The interval at which progress bars are drawn without an event, so that their rates fall in a stall.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that shows events. It ends when the queue is closed and empty.
#[derive(Debug)]
pub(crate) struct Display {
    finished: oneshot::Receiver<io::Result<()>>,
}

impl Display {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no further thread.
    pub(crate) fn start(mut ui: Ui, mut events: EventReceiver) -> io::Result<Self> {
        let (done, finished) = oneshot::channel();
        let show = move || {
            let shown = Builder::new_current_thread().enable_time().build().and_then(|runtime| {
                runtime.block_on(async {
                    while let Some(event) = next_event(&mut ui, &mut events).await {
                        ui.show(&event);
                    }
                });
                ui.finish()
            });
            let _ = done.send(shown); // nobody waits if the process exits early
        };
        thread::Builder::new().name("display".into()).spawn(show)?;
        Ok(Self { finished })
    }

    /// Waits until everything is shown.
    ///
    /// # Errors
    /// The error of standard output, unless it is a closed pipe.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn finished(&mut self) -> io::Result<()> {
        (&mut self.finished).await.unwrap_or(Ok(())) // a panic of the thread is reported by the panic hook
    }
}

/// Waits for the next event. Meanwhile draws the progress bars, if there are any.
async fn next_event(ui: &mut Ui, events: &mut EventReceiver) -> Option<Event> {
    while ui.has_bars() {
        match timeout(REDRAW_INTERVAL, events.recv()).await {
            Ok(next) => return next,
            Err(_) => ui.draw_bars(),
        }
    }
    events.recv().await
}
