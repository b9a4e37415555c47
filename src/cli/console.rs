//! The console of a running command: it shows events, asks questions, and reports the outcome.

use std::{io, pin::pin, thread};

use tokio::sync::oneshot;

use crate::{
    error::{Error, Kind, Result},
    event::{Event, OfferSummary},
    transfer::Events,
    ui::{Ui, prompt},
};

/// The console of a running command.
pub(super) struct Console {
    ui: Ui,
    /// Whether a write to standard output has failed.
    output_failed: bool,
}

impl Console {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, output_failed: false }
    }

    /// Runs `work` and shows its events. Drops the work if standard output fails.
    ///
    /// # Errors
    /// The errors of the work and of [`Console::show`].
    pub(super) async fn run<T, F>(&mut self, work: impl FnOnce(Events) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let (events, mut received) = Events::channel();
        let mut work = pin!(work(events));
        loop {
            tokio::select! {
                biased;
                Some(event) = received.recv() => self.show(&event)?,
                result = work.as_mut() => {
                    while let Ok(event) = received.try_recv() {
                        self.show(&event)?;
                    }
                    return result;
                }
            }
        }
    }

    /// Shows one event.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if standard output is a closed pipe, [`Kind::Transfer`] if the write fails otherwise.
    /// [`Console::report_outcome`] shows neither.
    pub(super) fn show(&mut self, event: &Event) -> Result<()> {
        self.ui.show(event).map_err(|e| {
            self.output_failed = true;
            match e.kind() {
                io::ErrorKind::BrokenPipe => Error::new(Kind::Interrupted, "standard output was closed"),
                _ => Error::new(Kind::Transfer, format!("cannot write to standard output: {e}")),
            }
        })
    }

    /// Whether questions can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.ui.can_ask()
    }

    /// Asks whether to download an offer. If the offer has changed since the user accepted it, or the disk
    /// cannot hold all of it, the answer must be explicit.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn confirm_offer(&mut self, offer: &OfferSummary) -> Result<bool> {
        self.ui.clear_bars();
        let question = self.ui.question(offer);
        let ask = if offer.changed || offer.unsupported > 0 { prompt::ask_explicitly } else { prompt::ask_yes_no };
        read_on_thread(move || ask(&question)).await
    }

    /// Asks for a line of text; returns `None` at the end of input.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn ask_line(&mut self, prompt: &'static str) -> Result<Option<String>> {
        self.ui.clear_bars();
        read_on_thread(move || prompt::ask_line(prompt)).await
    }

    /// Shows the error of a command, if there is one, and returns the exit code.
    pub(super) fn report_outcome(mut self, outcome: Result<()>) -> u8 {
        self.ui.clear_bars();
        match outcome {
            Ok(()) => 0,
            Err(_) if self.output_failed => 0,
            Err(e) => {
                let _ = self.show(&Event::from(&e)); // a failed write cannot be reported anywhere
                e.kind().exit_code()
            }
        }
    }
}

/// Reads an answer on a separate thread. Unlike a blocking task of the runtime, the thread does not delay the exit.
async fn read_on_thread<T: Send + 'static>(read: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let (sender, answer) = oneshot::channel();
    thread::spawn(move || sender.send(read()).is_ok());
    match answer.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Error::new(Kind::Usage, format!("cannot read the answer: {e}"))),
        Err(_) => Err(Error::new(Kind::Usage, "cannot read the answer")),
    }
}
