//! The sink for people: rendered lines on the two output streams, and progress bars below them.

use std::io::{self, IsTerminal, Write};

use console::{Term, is_dumb};
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::{
    UiOptions,
    appearance::Appearance,
    bars::Bars,
    lines::{Lines, OutputStream},
    output::Output,
    renderer::Renderer,
};
use crate::{
    error::Kind,
    event::{Event, StopReason},
};

/// The sink for people.
#[derive(Debug)]
pub(super) struct Human {
    renderer: Renderer,
    bars: Option<Bars>,
}

impl Human {
    pub(super) fn new(options: UiOptions) -> Self {
        let look = appearance(options);
        let bars = look.bars.then(Bars::new);
        Self { renderer: Renderer::new(look), bars }
    }

    pub(super) fn show(&mut self, event: &Event, output: &mut Output) {
        let now = Instant::now();
        if let Some(bars) = self.bars.as_mut().filter(|_| !self.renderer.shows_text()) {
            bars.update(event, now);
        }
        self.renderer.set_width(terminal_size().0);
        let lines = self.renderer.lines(event);
        if lines.is_empty() {
            return self.draw_bars();
        }
        if let Some(bars) = &mut self.bars {
            bars.hide();
        }
        if ends_at_once(event) {
            erase_echo();
        }
        write(&lines, output);
        self.draw_bars();
    }

    /// Draws the bars again, with their present rates.
    pub(super) fn draw_bars(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.draw(Instant::now());
        }
    }

    /// Whether there are progress bars, which change as time passes.
    pub(super) fn has_bars(&self) -> bool {
        self.bars.as_ref().is_some_and(|bars| !bars.is_empty())
    }

    pub(super) fn clear_bars(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.hide();
        }
    }
}

fn appearance(options: UiOptions) -> Appearance {
    let err_terminal = io::stderr().is_terminal();
    let (width, height) = terminal_size();
    let color_err = has_colors(&Term::stderr(), options);
    let (out_terminal, color_out) = match options.results() {
        OutputStream::Out => (io::stdout().is_terminal(), has_colors(&Term::stdout(), options)),
        OutputStream::Err => (err_terminal, color_err),
    };
    Appearance {
        out_terminal,
        err_terminal,
        color_out,
        color_err,
        bars: err_terminal && !options.quiet && !options.verbose && !is_dumb(),
        quiet: options.quiet,
        qr: options.qr,
        width,
        height,
        zone: TimeZone::system(),
    }
}

/// Whether the user allows colors and the terminal has them.
pub(super) fn has_colors(term: &Term, options: UiOptions) -> bool {
    options.color && term.is_term() && !is_dumb() && term.features().colors_supported()
}

/// Returns the columns and lines of the terminal. Either stream may be the terminal; if neither is, it is 80 by 24.
pub(super) fn terminal_size() -> (usize, usize) {
    let size = Term::stdout().size_checked().or_else(|| Term::stderr().size_checked());
    size.map_or((80, 24), |(lines, columns)| (usize::from(columns), usize::from(lines)))
}

fn write(lines: &Lines, output: &mut Output) {
    for (stream, text) in lines.iter() {
        match stream {
            OutputStream::Out => output.write(text.as_bytes()),
            OutputStream::Err => write_message(text),
        }
    }
}

/// Whether the event follows Ctrl-C, whose echo (`^C`) the terminal shows on the current line.
fn ends_at_once(event: &Event) -> bool {
    matches!(event, Event::Stopped { reason: StopReason::Interrupted } | Event::Error { kind: Kind::Interrupted, .. })
}

/// Overwrites the two columns of the echo of Ctrl-C.
fn erase_echo() {
    if io::stderr().is_terminal() {
        write_message("\r  \r");
    }
}

/// Writes to standard error. A closed standard error does not end a transfer.
fn write_message(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
