//! How a receiver connects to its relay, for how long it retries, how fast it receives, and where it stores
//! resumptions.

use std::{num::NonZeroU64, time::Duration};

use super::resumption_store::ResumptionStore;
use crate::net::Dialer;

/// The configuration of a receiver's connections to its relay.
#[derive(Clone)]
pub struct ReconnectConfig {
    /// Connects to the relay.
    pub dialer: Dialer,
    /// How long an outage may last. Zero disables retries.
    pub retry_for: Duration,
    /// The limit of the receive rate in bytes per second; `None` for no limit.
    pub rate_limit: Option<NonZeroU64>,
    /// The store of the credentials with which a later process resumes the download; `None` to store nothing.
    pub resumptions: Option<ResumptionStore>,
}
