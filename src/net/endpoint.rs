//! A QUIC endpoint on a socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use super::{
    amplification_guard::AmplificationGuard, connection_ids::MarkedConnectionIds, filtered_socket::FilteredSocket,
    path_mtu::MAX_UDP_PAYLOAD, quiet_copies::QuietCopies, socket::Socket, tls::RelayIdentity,
};
use crate::error::{Error, Kind, Result};

/// Creates an endpoint that only opens connections.
pub(super) fn client_endpoint(socket: Socket) -> Result<quinn::Endpoint> {
    endpoint(socket, quinn::EndpointConfig::default(), None)
}

/// Creates an endpoint that accepts connections to the relay with this identity.
pub(super) fn server_endpoint(
    socket: Socket,
    server: quinn::ServerConfig,
    identity: &RelayIdentity,
) -> Result<quinn::Endpoint> {
    endpoint(socket, stateless_reset_config(identity), Some(server))
}

fn endpoint(
    socket: Socket,
    mut config: quinn::EndpointConfig,
    server: Option<quinn::ServerConfig>,
) -> Result<quinn::Endpoint> {
    let _ = config.max_udp_payload_size(MAX_UDP_PAYLOAD); // fails only outside of 1,200 to 65,527
    let (mut socket, seed) = socket.into_parts();
    socket = match server {
        Some(_) => Arc::new(FilteredSocket::new(socket, AmplificationGuard::default())),
        None => Arc::new(FilteredSocket::new(socket, QuietCopies::new())),
    };
    config.rng_seed(seed);
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(quinn::TokioRuntime))
        .map_err(|e| socket_error("cannot use the UDP socket", &e))
}

/// Returns a configuration that lets a restarted relay send stateless resets (RFC 9000 section 10.3).
///
/// The reset key and the key that marks the relay's connection ids are derived from its identity, so the next process
/// has the same keys. A packet with any other connection id is not answered.
fn stateless_reset_config(identity: &RelayIdentity) -> quinn::EndpointConfig {
    /// Short, so that all clients soon learn of a restart. A reset is shorter than the packet that it answers, so it
    /// amplifies nothing.
    const MIN_RESET_INTERVAL: Duration = Duration::from_micros(100);
    let reset_key = identity.derive_key("qshare relay 2026 stateless reset");
    let reset_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &reset_key[..]);
    let id_key = identity.derive_key("qshare relay 2026 connection ids");
    let mut config = quinn::EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(move || Box::new(MarkedConnectionIds::new(id_key.clone())));
    config.min_reset_interval(MIN_RESET_INTERVAL);
    config
}

/// Whether `addr` is a loopback address, IPv4-mapped ones included.
pub(super) fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

/// Converts an error of a socket. `what` is the failure that the message begins with, such as "cannot open".
pub(super) fn socket_error(what: &str, e: &io::Error) -> Error {
    Error::new(Kind::Network, format!("{what}: {e}"))
}
