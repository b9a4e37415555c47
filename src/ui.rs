//! The user interface: it shows the events of a command to people or scripts. Each [`Event`] goes through one sink.
//!
//! ```text
//! Event ─┬─ OutputFormat::Json  ─ json ──────────────────────────▶ standard output, one object per line
//!        └─ OutputFormat::Human ─ human ─┬─ renderer (pure text) ▶ results: standard output; messages: standard error
//!                                        └─ bars ────────────────▶ standard error, if it is a terminal
//! ```
//!
//! Nothing else in the program writes to the terminal. Questions are in [`prompt`].

mod appearance;
mod bars;
mod date;
mod download_lines;
mod human;
mod json;
mod lines;
mod listing;
mod log;
mod offer;
mod options;
mod panics;
mod phrase;
pub mod prompt;
mod qr;
mod relay_listening;
mod renderer;
mod saved;
mod sharing;

use std::io::{self, IsTerminal};

use self::human::Human;
pub use self::{
    log::start_log,
    options::{OutputFormat, UiOptions},
    panics::{has_panicked, report_panics},
};
use crate::event::{Event, OfferSummary};

/// The sink of all events of a command.
#[derive(Debug)]
pub struct Ui {
    sink: Sink,
    quiet: bool,
}

#[derive(Debug)]
enum Sink {
    Human(Box<Human>),
    Json,
}

impl Ui {
    /// Creates a sink on the standard streams of this process.
    pub fn new(options: UiOptions) -> Self {
        let sink = match options.format {
            OutputFormat::Human => Sink::Human(Box::new(Human::new(options))),
            OutputFormat::Json => Sink::Json,
        };
        Self { sink, quiet: options.quiet }
    }

    /// Shows one event. When it returns, the operating system has the output.
    ///
    /// # Errors
    /// Any I/O error of standard output. After [`io::ErrorKind::BrokenPipe`], the caller exits without a message.
    /// Errors of standard error are ignored.
    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.sink {
            Sink::Human(human) => human.show(event),
            Sink::Json => json::write(event),
        }
    }

    /// Whether questions can be asked: the output is for people, and standard input and standard error are terminals.
    pub fn can_ask(&self) -> bool {
        matches!(self.sink, Sink::Human(_)) && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Returns the question whether to download an offer. With `quiet` the offer was not shown, so the question
    /// contains its summary.
    pub fn question(&self, offer: &OfferSummary) -> String {
        let summary = if self.quiet { offer::summary(offer, human::terminal_width()) } else { String::new() };
        summary + if offer.unsupported > 0 { "Download the rest?" } else { "Download?" }
    }

    /// Removes the progress bars. Called before a question and before the last lines.
    pub fn clear_bars(&mut self) {
        if let Sink::Human(human) = &mut self.sink {
            human.clear_bars();
        }
    }
}
