//! The sink for people: rendered lines on the two output streams, and progress bars below them.

use std::io::{self, IsTerminal, Write};

use console::{Term, is_dumb};

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
        if let Some(bars) = &mut self.bars {
            bars.update(event);
        }
        let lines = self.renderer.lines(event);
        if lines.is_empty() {
            return;
        }
        if let Some(bars) = &self.bars {
            bars.hide();
        }
        if ends_at_once(event) {
            erase_echo();
        }
        write(&lines, output);
        if let Some(bars) = &self.bars {
            bars.draw();
        }
    }

    pub(super) fn clear_bars(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.clear();
        }
    }
}

fn appearance(options: UiOptions) -> Appearance {
    let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let colors =
        |term: Term, terminal: bool| options.color && terminal && !is_dumb() && term.features().colors_supported();
    Appearance {
        out_terminal,
        err_terminal,
        color_out: colors(Term::stdout(), out_terminal),
        color_err: colors(Term::stderr(), err_terminal),
        bars: err_terminal && !options.quiet && !is_dumb(),
        quiet: options.quiet,
        qr: options.qr,
        width: terminal_width(),
    }
}

/// Returns the width of the terminal in columns. Either stream may be the terminal; if neither is, the width is 80.
pub(super) fn terminal_width() -> usize {
    let size = Term::stdout().size_checked().or_else(|| Term::stderr().size_checked());
    size.map_or(80, |(_, columns)| usize::from(columns))
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
