//! The arguments of `qshare parts`.

use std::path::PathBuf;

use clap::ValueHint;

const EXAMPLES: &str = "\
An interrupted download leaves a folder .qshare-….part beside its target. To resume it, run the same recv command \
again.

Examples:
  # List interrupted downloads in this folder
  qshare parts
  # Remove them from another folder
  qshare parts --clear ~/in";

/// The arguments of `qshare parts`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PartsArgs {
    /// Folder to look in [default: the one where recv saves]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Remove the interrupted downloads, except running ones
    #[arg(long)]
    pub clear: bool,
}
