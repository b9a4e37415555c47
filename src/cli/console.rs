//! The console of a running command: it shows events, asks questions, and reports the outcome.

use std::{io, thread, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::signals;
use crate::{
    error::{Error, Kind, Result},
    event::{Event, Events, OfferSummary},
    text,
    transfer::Conflict,
    ui::{self, ConflictAnswer, Display, OutputFormat, Ui, UiOptions, prompt},
};

/// How long an interrupted command waits for a blocked terminal or pipe to accept its last lines.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// The end of a command that has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandEnd {
    /// It has done its work.
    Done,
    /// The user has declined the download.
    Declined,
    /// The reader of standard output has closed its end before everything was written. A pipeline is often meant to
    /// end like that, so people see no message.
    ReaderClosed,
    /// The checks of this machine have led to this exit code.
    Diagnosed { exit_code: u8 },
}

/// The console of a running command.
pub(super) struct Console {
    options: UiOptions,
    events: Events,
    display: Display,
}

impl Console {
    /// Starts the display.
    ///
    /// # Errors
    /// [`Kind::Transfer`] if the system starts no further thread.
    pub(super) fn new(options: UiOptions) -> Result<Self> {
        let (events, received) = Events::channel();
        let display = Display::start(Ui::new(options), received)
            .map_err(|e| Error::new(Kind::Transfer, format!("cannot start a thread: {e}")))?;
        Ok(Self { options, events, display })
    }

    /// Returns the queue of events that are shown.
    pub(super) fn events(&self) -> Events {
        self.events.clone()
    }

    /// Shows one event.
    pub(super) fn show(&self, event: Event) {
        self.events.report(event);
    }

    /// Writes a text to standard output. One that is closed is no error.
    ///
    /// # Errors
    /// [`Kind::Transfer`] if standard output fails.
    pub(super) fn print(&self, text: &str) -> Result<()> {
        ui::print(text).map_err(|e| Error::new(Kind::Transfer, format!("cannot write to standard output: {e}")))
    }

    /// Whether questions can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.options.can_ask()
    }

    /// Whether lists are shown in full.
    pub(super) fn is_verbose(&self) -> bool {
        self.options.verbose
    }

    /// Asks a question; an empty answer is yes.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn confirm(&self, question: String) -> Result<bool> {
        self.ask(move || prompt::ask_yes_no(&question)).await
    }

    /// Asks whether to download an offer. If the offer has changed since the user accepted it, or the disk
    /// cannot hold all of it, the answer must be explicit.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn confirm_offer(&self, offer: &OfferSummary) -> Result<bool> {
        let question = ui::question(self.options, offer);
        let ask = if offer.changed || offer.unsupported > 0 { prompt::ask_explicitly } else { prompt::ask_yes_no };
        self.ask(move || ask(&question)).await
    }

    /// Asks what to do with a target that exists. `others` is the number of further conflicts. Returns `None` if the
    /// user declines the download.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn ask_conflict(&self, conflict: &Conflict, others: usize) -> Result<Option<ConflictAnswer>> {
        let Conflict { path, is_folder, .. } = conflict.clone();
        self.ask(move || ui::ask_conflict(&path, is_folder, others)).await
    }

    /// Asks for a line of text; returns `None` at the end of input.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn ask_line(&self, prompt: &'static str) -> Result<Option<String>> {
        self.ask(move || prompt::ask_line(prompt)).await
    }

    /// Reads a line from a standard input that is not a terminal; returns `None` at its end.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it cannot be read.
    pub(super) async fn read_line(&self) -> Result<Option<String>> {
        ask_on_thread(prompt::read_line).await
    }

    /// Reads standard input to its end, as text of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it cannot be read, is longer, or is not UTF-8.
    pub(super) async fn read_text(&self, max_bytes: u64) -> Result<String> {
        let bytes = on_thread(move || prompt::read_text(max_bytes + 1), "cannot read standard input").await?;
        if bytes.len() as u64 > max_bytes {
            let message = format!("the text has more than {}", text::bytes(max_bytes));
            return Err(Error::new(Kind::Usage, message).hint("share it with qshare send -, or as a file"));
        }
        String::from_utf8(bytes).map_err(|_| {
            Error::new(Kind::Usage, "standard input is not text in UTF-8").hint("share it with qshare send -")
        })
    }

    /// Asks once everything before the question is shown.
    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
        self.events.flush().await;
        ask_on_thread(ask).await
    }

    /// Shows how a command has ended, unless that is obvious, waits until everything is shown, and returns the exit
    /// code. A terminal or a pipe that is blocked delays the exit until the user interrupts the command.
    pub(super) async fn report_outcome(mut self, outcome: Result<CommandEnd>) -> u8 {
        let code = match outcome {
            Ok(CommandEnd::Done) => 0,
            Ok(CommandEnd::Diagnosed { exit_code }) => exit_code,
            Ok(CommandEnd::Declined) => {
                self.show(Event::Declined);
                Kind::Refused.exit_code()
            }
            Ok(CommandEnd::ReaderClosed) => {
                if self.options.format == OutputFormat::Json {
                    self.show(Event::from(&Error::new(Kind::Transfer, "the reader of standard output has closed it")));
                }
                Kind::Transfer.exit_code()
            }
            Err(e) => {
                self.show(Event::from(&e));
                e.kind().exit_code()
            }
        };
        self.events.close();
        let was_interrupted = signals::was_interrupted();
        let shown = tokio::select! {
            shown = self.display.finished() => shown,
            () = last_lines_timeout() => {
                // The work was done, but its results were not shown.
                return if was_interrupted || code != 0 { code } else { Kind::Interrupted.exit_code() };
            }
        };
        match shown {
            Ok(()) => code,
            Err(e) => {
                prompt::show(&format!("error: cannot write to standard output: {e}\n"));
                if code == 0 { Kind::Transfer.exit_code() } else { code }
            }
        }
    }
}

/// Completes [`LAST_LINES_TIMEOUT`] after the command was interrupted, or from now on if that was earlier.
async fn last_lines_timeout() {
    signals::interrupted().await;
    sleep(LAST_LINES_TIMEOUT).await;
}

async fn ask_on_thread<T: Send + 'static>(ask: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    on_thread(ask, "cannot read the answer").await
}

/// Reads on a separate thread. Unlike a blocking task of the runtime, the thread does not delay the exit. `failure` is
/// the message of an error.
async fn on_thread<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
    failure: &str,
) -> Result<T> {
    let (sender, answer) = oneshot::channel();
    let unreadable = |e: io::Error| Error::new(Kind::Usage, format!("{failure}: {}", text::system_message(&e)));
    thread::Builder::new().spawn(move || sender.send(read()).is_ok()).map_err(unreadable)?;
    match answer.await {
        Ok(answer) => answer.map_err(unreadable),
        Err(_) => Err(Error::new(Kind::Usage, failure)),
    }
}
