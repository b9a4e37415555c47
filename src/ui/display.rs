//! The thread that shows the events of a command, so that a blocked terminal or pipe does not hold up the work.

use std::{io, thread};

use tokio::{runtime::Builder, sync::oneshot};

use super::Ui;
use crate::event::EventReceiver;

/// The thread that shows events. It ends when the queue is closed and empty.
#[derive(Debug)]
pub struct Display {
    finished: oneshot::Receiver<io::Result<()>>,
}

impl Display {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system starts no further thread.
    pub fn start(mut ui: Ui, mut events: EventReceiver) -> io::Result<Self> {
        let (done, finished) = oneshot::channel();
        let show = move || {
            let shown = Builder::new_current_thread().build().and_then(|runtime| {
                runtime.block_on(async {
                    while let Some(event) = events.recv().await {
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
    pub async fn finished(&mut self) -> io::Result<()> {
        (&mut self.finished).await.unwrap_or(Ok(())) // a panic of the thread is reported by the panic hook
    }
}
