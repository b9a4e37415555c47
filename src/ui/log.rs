//! The program's own log on standard error, which `-v` enables. It contains no code, file name or address of a user.

use std::io;

use console::Term;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::{UiOptions, human::has_colors};

/// The most lines that wait for a terminal or a pipe that is blocked. Further lines are lost.
const MAX_LINES: usize = 10_000;

/// Writes the rest of the log when it is dropped, unless standard error is blocked for a second.
#[derive(Debug)]
pub(crate) struct Log {
    _writer: WorkerGuard,
}

/// Starts the log: nothing without `-v`, this program's messages with one, all messages with two. A thread of its own
/// writes it, so that a blocked terminal does not hold up the work.
pub(crate) fn start_log(verbose: u8, options: UiOptions) -> Option<Log> {
    let filter = match verbose {
        0 => return None,
        1 => "qshare=debug",
        _ => "debug",
    };
    let color = has_colors(&Term::stderr(), options);
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(MAX_LINES).finish(io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(writer).with_ansi(color);
    log.try_init().ok().map(|()| Log { _writer: guard }) // fails if the menu's process has started the log already
}
