//! The route of the bytes between a receiver and a sender.

use serde::{Deserialize, Serialize};

/// The route of the bytes between a receiver and a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through a relay.
    #[default]
    Relay,
    /// Directly, across networks.
    Direct,
    /// Directly, within one local network.
    Lan,
    /// Within one machine.
    Local,
}
