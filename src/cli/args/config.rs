//! The arguments of `qshare config`.

use std::{num::NonZeroU64, path::PathBuf};

use clap::Subcommand;

use super::{connection::ConnectionArgs, lan::LanArgs, values::rate};
use crate::code::RelayChoice;

const EXAMPLES: &str = "\
The configuration file is TOML. All settings are optional:
  relay = \"relay.example.org\"       # HOST[:PORT][#PIN]
  out = \"~/Downloads\"               # where recv saves
  limit-up = \"2MB\"                  # per second
  limit-down = \"10MB\"
  lan = true
  congestion = \"auto\"

An option wins over an environment variable (QSHARE_RELAY, QSHARE_LAN), and both over the file.

Examples:
  # Which relay is used, and why?
  qshare config show
  # Open the file in an editor
  $EDITOR \"$(qshare config path)\"";

/// The arguments of `qshare config`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    /// What to print.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `qshare config` prints.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the path of the configuration file, which may not exist
    Path,
    /// Print every setting and where its value comes from
    Show(ConfigShowArgs),
}

/// The options that `qshare config show` takes into account.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigShowArgs {
    /// As for send and recv
    #[arg(long, value_name = "RELAY", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelayChoice>,
    /// As for recv
    #[arg(long, value_name = "DIR|FILE|-")]
    pub out: Option<PathBuf>,
    /// As for send
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub limit_up: Option<NonZeroU64>,
    /// As for recv
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub limit_down: Option<NonZeroU64>,
    /// The option that switches the local network off.
    #[command(flatten)]
    pub lan: LanArgs,
    /// The options of the connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}
