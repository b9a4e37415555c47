//! Connects to a relay by racing its addresses.

use std::{
    future::pending,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    slice,
    sync::Arc,
    time::Duration,
};

use quinn::crypto::rustls::QuicClientConfig;
use quinn_proto::TransportErrorCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::debug;

use super::{
    connection::Connection,
    endpoint::{client_endpoint, is_loopback, socket_error},
    path_mtu::NetworkKind,
    relay_connection::RelayConnection,
    relay_errors::{relay_unreachable, wrong_relay},
    resolve::resolve,
    send_buffer::ConnectionCount,
    socket::Socket,
    socket_buffers::ClampedBuffers,
    tls::{VerificationResult, client_config},
    transport_config::{TransportOptions, Windows, transport_config},
    trust::{TrustPolicy, VerifiedRelay},
    unreachable::unreachable as system_unreachable,
};
use crate::{
    code::RelayAddr,
    error::{Error, Kind, Result},
    processor::Aes,
    text::visible,
};

/// A relay that has not answered after this time counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// The head start of an address over the next one (RFC 8305 section 5 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// The reason in the error for a relay that does not answer in time.
const NO_ANSWER: &str = "nothing answers on UDP";

/// Connects to a relay, at the first of its addresses that answers with the expected identity.
///
/// Names are resolved, IPv6 and IPv4 addresses alternate, and each address has a head start over the next (RFC 8305).
///
/// # Errors
/// [`Kind::Network`] after eight seconds at most if no address answered, [`Kind::WrongCode`] if a relay is not the
/// expected one.
pub async fn connect(relays: &[RelayAddr], trust: TrustPolicy, options: TransportOptions) -> Result<RelayConnection> {
    connect_over(client_socket()?, relays, trust, options).await
}

/// Connects to a relay through `socket`. Otherwise the same as [`connect()`].
///
/// # Errors
/// The same as [`connect()`].
pub async fn connect_over(
    socket: Socket,
    relays: &[RelayAddr],
    trust: TrustPolicy,
    options: TransportOptions,
) -> Result<RelayConnection> {
    let (clamped, network_kind) = (socket.clamped_buffers(), socket.network_kind());
    let connector = Connector { endpoint: client_endpoint(socket)?, network_kind, trust, options };
    let (connection, verified, relay) = connector.race(relays).await?;
    debug!("connected to a relay, verified by {:?}", verified.by);
    let clamped_buffers = clamped.filter(|_| connection.quic().is_some_and(|quic| !is_loopback(quic.remote_address())));
    Ok(RelayConnection { connection, verified, relay, clamped_buffers, endpoint: connector.endpoint })
}

/// Connects to a relay that a search on this machine or on the local network has found. Nothing verifies its key.
///
/// # Errors
/// [`Kind::Network`] after eight seconds at most if it does not answer.
pub async fn connect_nearby(addr: SocketAddr, options: TransportOptions) -> Result<RelayConnection> {
    let socket = client_socket()?;
    let (clamped, network_kind, relay) = (socket.clamped_buffers(), socket.network_kind(), RelayAddr::from(addr));
    let connector = Connector { endpoint: client_endpoint(socket)?, network_kind, trust: TrustPolicy::Nearby, options };
    let attempt = timeout(CONNECT_TIMEOUT, connector.try_address(&relay, addr)).await;
    match attempt
        .unwrap_or_else(|_| Err(AttemptError::Unreachable(relay_unreachable(slice::from_ref(&relay), NO_ANSWER))))
    {
        Ok((connection, verified)) => {
            let clamped_buffers = clamped.filter(|_| !is_loopback(addr));
            Ok(RelayConnection { connection, verified, relay, clamped_buffers, endpoint: connector.endpoint })
        }
        Err(AttemptError::Unreachable(e) | AttemptError::Refused(e)) => Err(e),
    }
}

/// Returns the buffers of a new UDP socket, if the system made them smaller than requested.
///
/// # Errors
/// [`Kind::Network`] if the system opens no socket.
pub fn udp_buffers() -> Result<Option<ClampedBuffers>> {
    Ok(client_socket()?.clamped_buffers())
}

/// Opens a socket for both IP versions, or for IPv4 on a machine without IPv6.
fn client_socket() -> Result<Socket> {
    Socket::bind((Ipv6Addr::UNSPECIFIED, 0).into())
        .or_else(|_| Socket::bind((Ipv4Addr::UNSPECIFIED, 0).into()))
        .map_err(|e| socket_error("cannot open a UDP socket", &e))
}

/// The state that all connection attempts of a race share.
#[derive(Clone)]
struct Connector {
    endpoint: quinn::Endpoint,
    network_kind: NetworkKind,
    trust: TrustPolicy,
    options: TransportOptions,
}

impl Connector {
    /// Tries all addresses of the relay, each with a head start over the next, and returns the first connection.
    async fn race(&self, relays: &[RelayAddr]) -> Result<(Connection, VerifiedRelay, RelayAddr)> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let no_answer = || relay_unreachable(relays, NO_ANSWER);
        let addresses = timeout_at(deadline, resolve(relays)).await.map_err(|_| no_answer())??;
        let mut attempts = JoinSet::new();
        for (i, (relay, addr)) in addresses.into_iter().enumerate() {
            let connector = self.clone();
            attempts.spawn(async move {
                sleep(HEAD_START * i as u32).await;
                connector.try_address(&relay, addr).await.map(|(connection, verified)| (connection, verified, relay))
            });
        }
        let mut unreachable = None;
        let mut refused = None;
        let failure = loop {
            match timeout_at(deadline, attempts.join_next()).await {
                Ok(Some(Ok(Ok(winner)))) => return Ok(winner),
                Ok(Some(Ok(Err(AttemptError::Refused(e))))) => refused = refused.or(Some(e)),
                Ok(Some(Ok(Err(AttemptError::Unreachable(e))))) => unreachable = unreachable.or(Some(e)),
                Ok(Some(Err(_))) => {} // the task has panicked, which the panic hook has reported
                Ok(None) => break unreachable.unwrap_or_else(|| relay_unreachable(relays, "its name has no address")),
                Err(_) => break no_answer(),
            }
        };
        Err(refused.unwrap_or(failure))
    }

    async fn try_address(
        &self,
        relay: &RelayAddr,
        addr: SocketAddr,
    ) -> Result<(Connection, VerifiedRelay), AttemptError> {
        let unreachable = |why: &str| AttemptError::Unreachable(relay_unreachable(slice::from_ref(relay), why));
        if self.trust == TrustPolicy::Loopback && !is_loopback(addr) {
            return Err(unreachable("its name does not lead to this machine"));
        }
        let (tls, verification) = client_config(self.trust, Aes::detect()).map_err(AttemptError::Unreachable)?;
        let crypto = QuicClientConfig::try_from(tls)
            .map_err(|e| AttemptError::Unreachable(Error::new(Kind::Transfer, format!("cannot configure TLS: {e}"))))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let max_udp_payload = self.network_kind.max_udp_payload(addr);
        let initial_rtt = self.network_kind.initial_rtt(addr);
        let windows = Windows::of_client(self.options.role);
        let transport = transport_config(windows, max_udp_payload, initial_rtt, self.options.congestion);
        config.transport_config(Arc::new(transport));
        let connecting =
            self.endpoint.connect_with(config, addr, &relay.host).map_err(|e| unreachable(&e.to_string()))?;
        let connected = tokio::select! {
            biased;
            connected = connecting => connected,
            why = unreachable_by(self.network_kind, addr) => return Err(unreachable(&why)),
        };
        let verification = *verification.lock();
        match (connected, verification) {
            (Ok(connection), VerificationResult::Verified(verified)) => {
                Ok((Connection::new(connection, self.options.clone(), windows, ConnectionCount::default()), verified))
            }
            (_, VerificationResult::Refused(refusal)) => Err(AttemptError::Refused(wrong_relay(relay, refusal))),
            (Ok(_), VerificationResult::Pending) => Err(unreachable("it did not present a certificate")),
            (Err(e), _) => Err(unreachable(&failure_reason(&e))),
        }
    }
}

/// Completes when the system reports that nothing can answer at `addr`. A network in memory has no such reports.
async fn unreachable_by(network: NetworkKind, addr: SocketAddr) -> String {
    match network {
        NetworkKind::Real => system_unreachable(addr).await,
        NetworkKind::Memory => pending().await,
    }
}

/// Why an attempt to connect to one address failed.
enum AttemptError {
    /// No connection was established.
    Unreachable(Error),
    /// The relay is not the expected one. The user must learn this even if other addresses do not answer.
    Refused(Error),
}

fn failure_reason(e: &quinn::ConnectionError) -> String {
    match e {
        quinn::ConnectionError::TimedOut => NO_ANSWER.to_owned(),
        quinn::ConnectionError::VersionMismatch => "it does not support this version of QUIC".to_owned(),
        quinn::ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            "it is not accepting new connections; it may be full, or limit those of your network".to_owned()
        }
        quinn::ConnectionError::ConnectionClosed(_) => "the server at this address is not a qshare relay".to_owned(),
        e => visible(&e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        net::{RelayIdentity, listen},
        state::StateDir,
    };

    #[tokio::test]
    async fn a_client_finds_the_expected_relay_among_several_addresses() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let identity = RelayIdentity::load_or_create(&dir.subfolder("a").unwrap()).unwrap();
        let other = RelayIdentity::load_or_create(&dir.subfolder("b").unwrap()).unwrap();
        let (any, options) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), TransportOptions::default());
        let [right, wrong] = [&identity, &other].map(|identity| listen(any, identity, options.clone()).unwrap());
        let [right_addr, wrong_addr] = [&right, &wrong].map(|l| RelayAddr::from(l.local_addr().unwrap()));
        for listener in [right, wrong] {
            tokio::spawn(async move {
                while let Some(incoming) = listener.accept().await {
                    if let Ok(connection) = listener.complete_handshake(incoming).await {
                        tokio::spawn(async move { connection.closed().await });
                    }
                }
            });
        }
        let trust = TrustPolicy::Pin(identity.pin());
        let found = connect(&[wrong_addr.clone(), right_addr.clone()], trust, options.clone()).await.unwrap();
        assert_eq!((found.relay, found.verified.pin), (right_addr, identity.pin()));
        let refused = connect(&[wrong_addr], trust, options).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::WrongCode);
        assert!(refused.message().contains("another key"), "{refused}");
    }
}
