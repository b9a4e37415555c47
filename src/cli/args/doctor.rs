//! The arguments of `qshare doctor`.

use super::lan::LanArgs;
use crate::code::RelayChoice;

const NOTES: &str = "\
Exit codes: 0 if all is well, 1 if something works less well than it could, 5 if the relay cannot be reached.";

/// The arguments of `qshare doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct DoctorArgs {
    /// Check this relay, HOST[:PORT][#PIN]; none for no relay
    #[arg(long, value_name = "RELAY", env = "QSHARE_RELAY", hide_env_values = true)]
    pub relay: Option<RelayChoice>,
    /// The option that switches the local network off.
    #[command(flatten)]
    pub lan: LanArgs,
}
