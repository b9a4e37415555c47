//! How a receiver reaches its relay, and reaches it again after an outage.

use std::time::Duration;

use super::resumption_store::ResumptionStore;
use crate::net::Dialer;

/// How a receiver reaches its relay, and reaches it again after an outage.
#[derive(Clone)]
pub struct ReconnectConfig {
    /// Connects to the relay.
    pub dialer: Dialer,
    /// How long an outage may last. Zero disables retries.
    pub retry_for: Duration,
    /// Where to store what a later process needs to resume the download, if anywhere.
    pub resumptions: Option<ResumptionStore>,
}
