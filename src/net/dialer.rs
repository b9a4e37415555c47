//! Connects to one relay any number of times.

use std::{pin::Pin, sync::Arc};

use super::{
    connect::connect, relay_connection::RelayConnection, transport_config::TransportOptions, trust::TrustPolicy,
};
use crate::{code::RelayAddr, error::Result};

/// Connects to one relay any number of times. A handle: clones share one dialer.
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn() -> ConnectFuture + Send + Sync>);

type ConnectFuture = Pin<Box<dyn Future<Output = Result<RelayConnection>> + Send>>;

impl Dialer {
    /// Creates a dialer that calls [`connect()`].
    pub fn new(relays: Vec<RelayAddr>, trust: TrustPolicy, options: TransportOptions) -> Self {
        Self::from_fn(move || {
            let (relays, options) = (relays.clone(), options.clone());
            async move { connect(&relays, trust, options).await }
        })
    }

    /// Creates a dialer that calls `connect`.
    pub fn from_fn<F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<RelayConnection>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(connect())))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The same as [`connect()`].
    pub async fn dial(&self) -> Result<RelayConnection> {
        (self.0)().await
    }
}
