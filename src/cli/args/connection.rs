//! The options of every command that opens connections.

use super::values::congestion_control;
use crate::net::CongestionControl;

/// The heading of these options and of the rate limits in the help.
pub(super) const HEADING: &str = "Connection";

/// The options of every command that opens connections.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct ConnectionArgs {
    /// Set the congestion control; auto tolerates random packet loss [default: auto]
    #[arg(long, value_name = "NAME", value_parser = congestion_control())]
    pub congestion: Option<CongestionControl>,
}
