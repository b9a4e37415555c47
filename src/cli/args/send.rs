//! The arguments of `qshare send`.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use clap::value_parser;

use super::{
    connection::{self, ConnectionArgs},
    values::{code_length, duration, rate},
};
use crate::code::RelayChoice;

const EXAMPLES: &str = "\
Examples:
  # Any number of receivers, until Ctrl-C
  qshare send holiday/
  # Two files, one receiver
  qshare send --once a.pdf b.pdf
  # For two hours, with a QR code
  qshare send --expire 2h --qr talk.mp4";

/// The arguments of `qshare send`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SendArgs {
    /// Files and folders to share
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Share through this relay, HOST[:PORT][#PIN]; none for an embedded one [default: an embedded relay, for the
    /// local network]
    #[arg(long, value_name = "RELAY", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelayChoice>,
    /// Stop after one download
    #[arg(long)]
    pub once: bool,
    /// Stop after N downloads
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), conflicts_with = "once")]
    pub max_downloads: Option<u64>,
    /// Stop after this time, such as 90s, 2h or 1day; running downloads may finish
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expire: Option<Duration>,
    /// If interrupted, keep the code this long; sharing the same path reuses it
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub keep: Duration,
    /// Use a new code, even if the path has one
    #[arg(long)]
    pub new_code: bool,
    /// Use this many secret characters in the code [default: 5; 8 with --expire or --keep above a day]
    #[arg(long, value_name = "N", value_parser = code_length())]
    pub code_length: Option<usize>,
    /// Set the name of the share; a single file or folder is saved under it [default: from the first path]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Leave out what cannot be shared, such as unreadable files [default: ask, or refuse without a terminal]
    #[arg(long)]
    pub skip_unsendable: bool,
    /// Also show the link as a QR code
    #[arg(long)]
    pub qr: bool,
    /// Send at most this much per second, all receivers together, such as 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = connection::HEADING)]
    pub limit_up: Option<NonZeroU64>,
    /// The options of the connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}
