//! The arguments of `qshare recv`.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use clap::ValueHint;

use super::{
    connection::{self, ConnectionArgs},
    lan::LanArgs,
    values::{SELECTION, duration, duration_or_zero, rate, size},
};
use crate::{code::RelayChoice, selection::Pattern};

const EXAMPLES: &str = "\
Examples:
  # Ask, then download into the current folder
  qshare recv XKY9-7HQ2ME
  # Show what is offered, download nothing
  qshare recv --list XKY9-7HQ2ME
  # Only the pictures, except those in raw
  qshare recv --only '*.jpg' --exclude raw CODE
  # Unpack without a copy on the disk, or play at once
  qshare recv CODE --out - --tar | tar x
  qshare recv CODE --out - | mpv -
  # Use a link; quote it
  qshare recv \"qshare://HOST/XKY9-7HQ2ME\"
  # Keep the code out of the process list
  QSHARE_CODE=XKY9-7HQ2ME qshare recv

An interrupted download leaves a folder .qshare-….part beside its target. Run the same command again to resume, even \
after a restart of this machine, the sender or the relay. See also qshare parts --help.

A pattern selects files and folders, with everything below them. * and ? match any characters but a slash, [a-z] a set \
of them, {a,b} one of several texts, and ** any number of folders. A pattern without a slash is compared with names at \
any depth, and one with a slash with the whole path within the share, as --list shows it. A slash at the end stands for \
folders only. Case matters.";

/// The arguments of `qshare recv`. They contain the code, so the type has no `Debug` form.
#[derive(Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecvArgs {
    /// Code or link from the sender; asks for it if missing
    #[arg(value_name = "CODE|LINK", env = "QSHARE_CODE", hide_env_values = true, value_hint = ValueHint::Other)]
    pub code: Option<String>,
    /// Use this relay, HOST[:PORT][#PIN]; none to search only this machine and the local
    /// network; a link names its own
    #[arg(long, value_name = "RELAY", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelayChoice>,
    /// Save in this folder, or under this file name; - writes the content to standard output
    /// [default: the current folder]
    #[arg(long, value_name = "DIR|FILE|-")]
    pub out: Option<PathBuf>,
    /// With --out -, write a tar stream of everything, which tar x unpacks
    #[arg(long)]
    pub tar: bool,
    /// Download without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Replace files that exist [default: ask, or refuse without a terminal]
    #[arg(long, conflicts_with_all = ["rename", "skip"])]
    pub overwrite: bool,
    /// Save under a new name if a file exists
    #[arg(long, conflicts_with = "skip")]
    pub rename: bool,
    /// Skip files that exist
    #[arg(long)]
    pub skip: bool,
    /// Download only what matches this pattern, such as '*.jpg' or 'holiday/2024'; may repeat
    #[arg(long, value_name = "GLOB", value_parser = Pattern::parse, help_heading = SELECTION)]
    pub only: Vec<Pattern>,
    /// Download nothing that matches this pattern; may repeat
    #[arg(long, value_name = "GLOB", value_parser = Pattern::parse, help_heading = SELECTION)]
    pub exclude: Vec<Pattern>,
    /// Leave out what the disk cannot hold, such as links on FAT [default: ask, or refuse without a terminal]
    #[arg(long)]
    pub skip_unsupported: bool,
    /// Refuse a share of more bytes than this, such as 500MB or 2GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// List everything that is offered, download nothing
    #[arg(long)]
    pub list: bool,
    /// Wait this long for a sender that has not started yet, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = connection::HEADING)]
    pub wait: Option<Duration>,
    /// Try to reconnect a download for this long, such as 90s or 1h; 0 fails at once
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = duration_or_zero,
        help_heading = connection::HEADING
    )]
    pub retry_for: Duration,
    /// Receive at most this much per second, such as 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = connection::HEADING)]
    pub limit_down: Option<NonZeroU64>,
    /// The option that switches the local network off.
    #[command(flatten)]
    pub lan: LanArgs,
    /// The options of the connection.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl RecvArgs {
    /// Whether the content goes to standard output.
    pub(crate) fn writes_to_stdout(&self) -> bool {
        !self.list && self.out.as_deref().is_some_and(|out| out.as_os_str() == "-")
    }
}
