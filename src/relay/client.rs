//! A connected client, and whether anything still uses its connection.

use std::sync::Arc;

use crate::net::Connection;

/// A client's connection. Each clone is one use of it: a stream that is being served, a registered slot, or a bridge
/// to the client, which may outlive the slot.
#[derive(Clone)]
pub(super) struct Client {
    connection: Connection,
    uses: Arc<()>,
}

impl Client {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, uses: Arc::default() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether this is the only clone: no stream, slot or bridge uses the connection.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.uses) == 1
    }
}
