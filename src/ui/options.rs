//! The options that decide how events are shown.

use std::io::{self, IsTerminal};

use super::lines::OutputStream;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// Text for people.
    Human,
    /// JSON for scripts: one object per line.
    Json,
}

/// The options that decide how events are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UiOptions {
    /// The format.
    pub format: OutputFormat,
    /// Show only results on standard output and errors on standard error.
    pub quiet: bool,
    /// Whether the user allows colors (`--no-color`, `NO_COLOR`). They appear only at a terminal.
    pub color: bool,
    /// Whether to show lists in full. Standard error also shows the log then, and no progress bars.
    pub verbose: bool,
    /// Whether to draw the link of a share as a QR code. It appears only at a terminal.
    pub qr: bool,
    /// Whether the command writes content to standard output. Results then go to standard error.
    pub writes_to_stdout: bool,
}

impl UiOptions {
    /// Returns the stream of results.
    pub(super) fn results(&self) -> OutputStream {
        if self.writes_to_stdout { OutputStream::Err } else { OutputStream::Out }
    }

    /// Whether questions can be asked: the output is for people, and standard input and standard error are terminals.
    pub(crate) fn can_ask(&self) -> bool {
        self.format == OutputFormat::Human && io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}
