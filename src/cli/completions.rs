//! The completions that `qshare completions` prints.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::args::Args;

/// Returns a script that completes commands, options and file names in `shell`.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "qshare", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
