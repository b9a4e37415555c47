//! The options of every command.

use std::env;

use clap::ArgAction;

use crate::ui::{OutputFormat, UiOptions};

/// The options of every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct GlobalArgs {
    /// Print events as JSON, one object per line, and never ask
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results and errors
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Print a log and complete lists; repeat for more detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print without colors; NO_COLOR in the environment does the same
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl GlobalArgs {
    /// Creates the user interface that these options ask for. Commands may add to it.
    pub(crate) fn ui(&self) -> UiOptions {
        let format = if self.json { OutputFormat::Json } else { OutputFormat::Human };
        let (quiet, verbose, color) = (self.quiet, self.verbose > 0, self.allows_color());
        UiOptions { format, quiet, verbose, color, qr: false, writes_to_stdout: false }
    }

    /// Whether neither the option nor `NO_COLOR` (<https://no-color.org>) forbids colors. An empty variable does not.
    fn allows_color(&self) -> bool {
        !self.no_color && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}
