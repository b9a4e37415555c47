//! What a running command has of the user: events are shown while it works, questions are asked in between.

use std::io;

use tokio::sync::oneshot;

use crate::{
    error::{Error, Kind, Result},
    event::{Event, OfferSummary},
    transfer::Events,
    ui::{Ui, prompt},
};

/// The user's side of a command.
pub(super) struct Console {
    ui: Ui,
    /// The reader of standard output is gone.
    closed: bool,
}

impl Console {
    /// A console that shows events with `ui`.
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, closed: false }
    }

    /// Does some work and shows its events while it goes on. Where nobody reads them any more, the work is dropped.
    ///
    /// # Errors
    /// Those of the work; [`Kind::Interrupted`] for a closed pipe, which [`Console::end`] keeps quiet about.
    pub(super) async fn perform<T, F>(&mut self, work: impl FnOnce(Events) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let (events, mut happened) = Events::channel();
        let work = work(events);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                Some(event) = happened.recv() => self.show(&event)?,
                done = &mut work => {
                    while let Ok(event) = happened.try_recv() {
                        self.show(&event)?;
                    }
                    return done;
                }
            }
        }
    }

    /// Shows one event.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] for a closed pipe, [`Kind::Transfer`] for an output that fails otherwise.
    pub(super) fn show(&mut self, event: &Event) -> Result<()> {
        self.ui.show(event).map_err(|e| {
            self.closed = true;
            match e.kind() {
                io::ErrorKind::BrokenPipe => Error::new(Kind::Interrupted, "nobody reads the output"),
                _ => Error::new(Kind::Transfer, format!("cannot write the output: {e}")),
            }
        })
    }

    /// Whether questions can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.ui.can_ask()
    }

    /// Asks whether to take an offer.
    ///
    /// # Errors
    /// [`Kind::Usage`] where the answer cannot be read.
    pub(super) async fn ask_offer(&mut self, offer: &OfferSummary) -> Result<bool> {
        self.ui.finish();
        let question = self.ui.question(offer);
        on_a_thread(move || prompt::ask_yes_no(&question)).await
    }

    /// Asks for a line.
    ///
    /// # Errors
    /// [`Kind::Usage`] where it cannot be read.
    pub(super) async fn ask_line(&mut self, text: &'static str) -> Result<Option<String>> {
        self.ui.finish();
        on_a_thread(move || prompt::ask_line(text)).await
    }

    /// Shows how a command ended and gives the exit code.
    pub(super) fn end(mut self, outcome: Result<()>) -> u8 {
        self.ui.finish();
        match outcome {
            Ok(()) => 0,
            Err(_) if self.closed => 0,
            Err(e) => {
                let _ = self.show(&Event::from(&e)); // nobody else is left to tell
                e.kind().exit_code()
            }
        }
    }
}

/// Reads an answer on a thread of its own: unlike a blocking task, it does not hold up the end of the process.
async fn on_a_thread<T: Send + 'static>(ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let (tx, rx) = oneshot::channel();
    std::thread::spawn(move || tx.send(ask()).is_ok());
    match rx.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::new(Kind::Usage, format!("cannot read the answer: {e}"))),
        Err(_) => Err(Error::new(Kind::Usage, "cannot read the answer")),
    }
}
