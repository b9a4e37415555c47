//! The arguments of `qshare send`.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use clap::value_parser;

use super::{
    connection::{self, ConnectionArgs},
    lan::LanArgs,
    values::{SELECTION, code_length, compression_mode, duration, link_policy, rate},
};
use crate::{
    code::RelayChoice,
    selection::Pattern,
    transfer::{CompressionMode, LinkPolicy},
};

const EXAMPLES: &str = "\
Examples:
  # Any number of receivers, until Ctrl-C
  qshare send holiday/
  # Two files, one receiver
  qshare send --once a.pdf b.pdf
  # For two hours, with a QR code
  qshare send --expire 2h --qr talk.mp4
  # The output of a program, as it is written; one receiver can download it
  tar c . | qshare send - --name site.tar
  # A short text
  qshare send --text 'The door code is 4711.'
  # Without what git ignores, and without .git
  qshare send --gitignore --exclude .git project/

A pattern selects files and folders, with everything below them. * and ? match any characters but a slash, [a-z] a set \
of them, {a,b} one of several texts, and ** any number of folders. A pattern without a slash is compared with names at \
any depth, and one with a slash with the whole path within the share. A slash at the end stands for folders only. Case \
matters.";

/// The arguments of `qshare send`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// Files and folders to share; - for standard input
    #[arg(required_unless_present = "text", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Share this text, which the receiver's terminal shows; - reads it from standard input, which keeps it out of the
    /// process list
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "paths")]
    pub text: Option<String>,
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
    /// Set the name of the share; a single file, folder, pipe or text is saved under it [default: from the first path]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Leave out what matches this pattern, such as '*.tmp' or 'holiday/raw'; may repeat
    #[arg(long, value_name = "GLOB", value_parser = Pattern::parse, help_heading = SELECTION)]
    pub exclude: Vec<Pattern>,
    /// Leave out what git ignores
    #[arg(long, help_heading = SELECTION)]
    pub gitignore: bool,
    /// Keep symbolic links inside the share, skip them, or follow them and share what they lead to
    #[arg(long, value_name = "POLICY", default_value = "keep", value_parser = link_policy(), help_heading = SELECTION)]
    pub links: LinkPolicy,
    /// Leave out what cannot be shared, such as unreadable files [default: ask, or refuse without a terminal]
    #[arg(long)]
    pub skip_unsendable: bool,
    /// Also show the link as a QR code
    #[arg(long)]
    pub qr: bool,
    /// Send at most this much per second, all receivers together, such as 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = connection::HEADING)]
    pub limit_up: Option<NonZeroU64>,
    /// Compress content: auto, where it makes the download faster, always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = compression_mode(),
        help_heading = connection::HEADING)]
    pub compress: CompressionMode,
    /// The option that switches the local network off.
    #[command(flatten)]
    pub lan: LanArgs,
    /// The options of the connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}
