//! What people and scripts see: one sink for every [`Event`].
//!
//! ```text
//! Event ─┬─ OutputFormat::Json  ─ json ──────────────────────────▶ standard output, one object a line
//!        └─ OutputFormat::Human ─ human ─┬─ render (pure text) ──▶ results: standard output; messages: standard error
//!                                 └─ bars ────────────────▶ standard error, where it is a terminal
//! ```
//!
//! Nothing else in the program writes to the terminal. Questions are in [`prompt`].

mod bars;
mod human;
mod json;
mod listing;
mod log;
mod phrase;
pub mod prompt;
mod qr;
mod render;
mod share;

use std::io::{self, IsTerminal};

use self::human::Human;
pub use self::log::log;
use crate::event::{Event, OfferSummary};

/// For whom events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// A person.
    Human,
    /// A script: one JSON object a line.
    Json,
}

/// How events are shown.
#[derive(Debug, Clone, Copy)]
pub struct UiOptions {
    /// For whom.
    pub format: OutputFormat,
    /// Only results on standard output and errors on standard error.
    pub quiet: bool,
    /// Whether the user allows colors (`--no-color`, `NO_COLOR`); they still appear only at a terminal.
    pub color: bool,
    /// Whether a share's link is drawn as a QR code; at a terminal only.
    pub qr: bool,
}

/// The sink of all events of a command.
#[derive(Debug)]
pub struct Ui {
    sink: Output,
    quiet: bool,
}

#[derive(Debug)]
enum Output {
    Human(Box<Human>),
    Json,
}

impl Ui {
    /// A sink over the standard streams of this process.
    pub fn new(options: UiOptions) -> Self {
        let sink = match options.format {
            OutputFormat::Human => Output::Human(Box::new(Human::new(options))),
            OutputFormat::Json => Output::Json,
        };
        Self { sink, quiet: options.quiet }
    }

    /// Shows one event. On return it has been handed to the system.
    ///
    /// # Errors
    /// Standard output cannot be written. Where its reader is gone ([`io::ErrorKind::BrokenPipe`]), the caller ends
    /// quietly. What happens to standard error is nobody's failure.
    pub fn show(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.sink {
            Output::Human(human) => human.show(event),
            Output::Json => json::write(event),
        }
    }

    /// Whether questions can be asked: standard input and standard error are terminals, and events are for people.
    pub fn can_ask(&self) -> bool {
        matches!(self.sink, Output::Human(_)) && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// What to ask about an offer that was shown. With `quiet` it was not, so the question tells what it is about.
    pub fn question(&self, offer: &OfferSummary) -> String {
        render::question(offer, self.quiet)
    }

    /// Stops and clears bars so that the last lines, or a question, stand alone.
    pub fn finish(&mut self) {
        if let Output::Human(human) = &mut self.sink {
            human.finish();
        }
    }
}
