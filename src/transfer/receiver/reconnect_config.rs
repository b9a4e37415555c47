//! How a receiver connects to its relay, for how long it retries, and where it stores resumptions.

use std::time::Duration;

use super::resumption_store::ResumptionStore;
use crate::net::Dialer;

/// The configuration of a receiver's connections to its relay.
#[derive(Clone)]
pub struct ReconnectConfig {
    /// Connects to the relay.
    pub dialer: Dialer,
    /// How long an outage may last. Zero disables retries.
    pub retry_for: Duration,
    /// The store of the credentials with which a later process resumes the download; `None` to store nothing.
    pub resumptions: Option<ResumptionStore>,
}
