//! The arguments of `qshare relay`.

use std::{net::SocketAddr, path::PathBuf};

use super::connection::ConnectionArgs;

const EXAMPLES: &str = "\
Examples:
  # UDP port 4433, IPv4 and IPv6
  qshare relay
  # One address, another port
  qshare relay --listen 192.0.2.7:443";

/// The arguments of `qshare relay`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RelayArgs {
    /// Listen on this UDP address
    #[arg(long, value_name = "ADDR", default_value = "[::]:4433")]
    pub listen: SocketAddr,
    /// Use the certificate and key in this folder; create them if missing [default: in the state folder]
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// The options of the connections.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}
