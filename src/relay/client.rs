//! A client, and whether it still has something to wait for.

use std::sync::Arc;

use crate::net::Connection;

/// A client's connection. Each clone stands for something that goes on over it: a stream of its own, a slot, or a bridge
/// to it, which may outlive its slot.
#[derive(Clone)]
pub(super) struct Client {
    connection: Connection,
    going_on: Arc<()>,
}

impl Client {
    /// A client that just came.
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, going_on: Arc::default() }
    }

    /// Its connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether nothing goes on: this is the only one left.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.going_on) == 1
    }
}
