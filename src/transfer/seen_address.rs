//! The address from which a relay sees this machine.

use std::net::SocketAddr;

use super::relay_request::send_relay_request;
use crate::{
    error::Result,
    net::Connection,
    wire::relay::{AddressReply, AddressRequest},
};

/// Asks the relay for the address from which it sees this machine.
///
/// # Errors
/// [`Kind::Network`](crate::error::Kind::Network) or [`Kind::Refused`](crate::error::Kind::Refused) if it does not
/// tell.
pub async fn seen_address(connection: &Connection) -> Result<SocketAddr> {
    let (_, _, AddressReply { addr }) = send_relay_request(connection, &AddressRequest, &[]).await?;
    Ok(addr)
}
