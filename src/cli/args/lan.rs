//! The option that switches the local network off.

use super::connection;

/// Whether the local network is used.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LanArgs {
    /// Leave the local network out; with a relay, use only the relay
    #[arg(long, help_heading = connection::HEADING)]
    pub no_lan: bool,
}
