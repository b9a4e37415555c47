//! The arguments of `qshare relay`.

use std::{net::SocketAddr, path::PathBuf};

use clap::ValueHint;

use super::{
    connection::ConnectionArgs,
    limit_arg::LimitArg,
    values::{listen_addr, memory_size},
};
use crate::relay::Limits;

const EXAMPLES: &str = "\
Examples:
  # UDP port 4433, IPv4 and IPv6
  qshare relay
  # One address, another port
  qshare relay --listen 192.0.2.7:443
  # How to use the relay that runs here
  qshare relay --show
  # The same for the installed service
  sudo qshare relay --show
  # Names and defaults of all limits
  qshare relay --limit help
  # More shares for one network, less memory
  qshare relay --limit slots=500 --memory 256MiB";

/// The heading of the limits in the help.
const HEADING: &str = "Limits";

/// The arguments of `qshare relay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RelayArgs {
    /// Listen on this UDP address, or on this port of all addresses
    #[arg(long, value_name = "ADDR", default_value = "[::]:4433", value_parser = listen_addr)]
    pub listen: SocketAddr,
    /// Use the certificate and key in this folder; create them if missing [default: in the state folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub certs: Option<PathBuf>,
    /// Show how to use the relay whose key is stored here, instead of starting one
    #[arg(long)]
    pub show: bool,
    /// Use at most this much memory for connections, streams and downloads, such as 500MB or 2GiB
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = memory_size, help_heading = HEADING)]
    pub memory: usize,
    /// Change a limit; may repeat; help lists all limits
    #[arg(long, value_name = "NAME=VALUE", value_parser = LimitArg::parse, help_heading = HEADING)]
    pub limit: Vec<LimitArg>,
    /// Limit clients on this machine like others; each loopback address counts for itself
    #[arg(long, help_heading = HEADING)]
    pub limit_loopback: bool,
    /// The options of the connections.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

impl RelayArgs {
    /// Returns the relay's limits, or `None` if the user requested the list of limits.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.limit.iter().try_fold(Limits::default(), |limits, arg| match arg {
            LimitArg::Help => None,
            LimitArg::Set(limit, value) => Some(limits.with(*limit, *value)),
        })
    }
}
