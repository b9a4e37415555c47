//! The arguments of `qshare shares`.

use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  # List codes, paths and expiry
  qshare shares
  # The next share of this folder gets a new code
  qshare shares forget holiday/
  # Forget all shares that are not running
  qshare shares forget --all";

/// The arguments of `qshare shares`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SharesArgs {
    /// The subcommand; without one, the shares are listed.
    #[command(subcommand)]
    pub command: Option<SharesCommand>,
}

/// A subcommand of `qshare shares`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SharesCommand {
    /// Forget shares; the next share of the same path gets a new code
    Forget {
        /// Code, path or id of each share; the first 4 characters of an id are enough
        #[arg(required_unless_present = "all", value_name = "SHARE")]
        shares: Vec<String>,
        /// Forget all shares that are not running
        #[arg(long, conflicts_with = "shares")]
        all: bool,
    },
}
