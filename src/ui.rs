//! The user interface: it shows the events of a command to people or scripts. Each [`Event`] goes through one sink.
//!
//! ```text
//! Event ─┬─ OutputFormat::Json  ─ json ──────────────────────────▶ standard output, one object per line
//!        └─ OutputFormat::Human ─ human ─┬─ renderer (pure text) ▶ results: standard output; messages: standard error
//!                                        └─ bars ────────────────▶ standard error, if it is a terminal
//! ```
//!
//! A [`Display`] shows the events on a thread of its own. Nothing else in the program writes to the terminal. Questions
//! are in [`prompt`].

mod appearance;
mod bars;
mod conflict_question;
mod date;
mod diagnosis;
mod display;
mod download_lines;
mod human;
mod json;
mod lines;
mod listing;
mod log;
mod offer;
mod options;
mod output;
mod panics;
mod phrase;
pub(crate) mod prompt;
mod qr;
mod relay_usage;
mod renderer;
mod saved;
mod sharing;

use std::io;

pub(crate) use self::{
    conflict_question::{ConflictAction, ConflictAnswer, ask_conflict},
    display::Display,
    log::start_log,
    options::{OutputFormat, UiOptions},
    panics::{has_panicked, report_panics},
};
use self::{human::Human, lines::OutputStream, output::Output};
use crate::{
    error::Error,
    event::{Event, OfferSummary},
};

/// The sink of all events of a command.
#[derive(Debug)]
pub(crate) struct Ui {
    sink: Sink,
    output: Output,
}

#[derive(Debug)]
enum Sink {
    Human(Box<Human>),
    Json,
}

impl Ui {
    /// Creates a sink on the standard streams of this process.
    pub(crate) fn new(options: UiOptions) -> Self {
        let sink = match options.format {
            OutputFormat::Human => Sink::Human(Box::new(Human::new(options))),
            OutputFormat::Json => Sink::Json,
        };
        Self { sink, output: Output::new(options.results()) }
    }

    /// Shows one event. When it returns, the operating system has the output. If standard output fails, later results
    /// are discarded, and [`Ui::finish`] returns the error. Errors of standard error are ignored.
    pub(crate) fn show(&mut self, event: &Event) {
        match &mut self.sink {
            Sink::Human(human) => human.show(event, &mut self.output),
            Sink::Json => self.output.write(&json::line(event)),
        }
    }

    /// Whether what is shown changes as time passes.
    fn has_bars(&self) -> bool {
        matches!(&self.sink, Sink::Human(human) if human.has_bars())
    }

    /// Shows the present rates of the progress bars.
    fn draw_bars(&mut self) {
        if let Sink::Human(human) = &mut self.sink {
            human.draw_bars();
        }
    }

    /// Removes the progress bars.
    ///
    /// # Errors
    /// The error of standard output, unless it is a closed pipe.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Sink::Human(human) = &mut self.sink {
            human.clear_bars();
        }
        self.output.into_result()
    }
}

/// Returns the question whether to download an offer. With `quiet` the offer was not shown, so the question contains
/// its summary.
pub(crate) fn question(options: UiOptions, offer: &OfferSummary) -> String {
    let summary = if options.quiet { offer::summary(offer, human::terminal_size().0) } else { String::new() };
    summary + if offer.unsupported > 0 { "Download the rest?" } else { "Download?" }
}

/// Writes a text to standard output as it is.
///
/// # Errors
/// The error of standard output, unless it is a closed pipe.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = Output::new(OutputStream::Out);
    output.write(text.as_bytes());
    output.into_result()
}

/// Shows an error outside of a running command.
pub(crate) fn show_error(options: UiOptions, e: &Error) {
    let mut ui = Ui::new(options);
    ui.show(&Event::from(e));
    let _ = ui.finish(); // a failed write cannot be reported anywhere
}
