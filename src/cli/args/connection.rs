//! The options of every command that opens connections.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::net::CongestionControl;

/// The heading of these options and of the rate limits in the help.
pub(super) const HEADING: &str = "Connection";

/// The options of every command that opens connections.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct ConnectionArgs {
    /// Set the congestion control; auto tolerates random packet loss
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = congestion_control())]
    pub congestion: CongestionControl,
}

fn congestion_control() -> impl TypedValueParser<Value = CongestionControl> {
    PossibleValuesParser::new(["auto", "cubic", "bbr"]).map(|name| match name.as_str() {
        "cubic" => CongestionControl::Cubic,
        "bbr" => CongestionControl::Bbr,
        _ => CongestionControl::Auto,
    })
}
