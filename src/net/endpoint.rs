//! Sockets and connections: listening on both IP versions, and reaching a relay by whichever of its addresses answers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::HashedConnectionIdGenerator;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    route::{LONGEST_PACKET, ORDINARY_PACKET},
    socket::{ClampedBuffers, Socket, Ways},
    tls::{self, Refusal, RelayIdentity, VerificationResult},
    transport::Connection,
    transport_config::{TransportOptions, transport_config},
    trust::{TrustPolicy, VerifiedRelay},
};
use crate::{
    code::RelayAddr,
    error::{Error, Kind, Result},
    processor::Aes,
};

/// Within this time a relay answers or counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// The head start of an address over the next one (RFC 8305 section 5 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// More addresses than this are not tried.
const MOST_ADDRESSES: usize = 16;

/// Streams that a relay may open on a sender's connection: downloads at the same time.
const DOWNLOADS_AT_ONCE: u32 = 1024;

/// Streams that a client may have open to a relay.
const STREAMS_PER_CLIENT: u32 = 16;

/// Accepts QUIC connections on one UDP socket.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    clamped: Option<ClampedBuffers>,
    ways: Ways,
    transport: TransportOptions,
    /// For clients to whom packets are of ordinary length.
    config: quinn::ServerConfig,
}

/// Listens on `addr`. `[::]` means both IP versions, where the machine has both.
///
/// # Errors
/// [`Kind::Network`] where the port is taken or the address is not one of this machine.
pub fn listen(addr: SocketAddr, identity: &RelayIdentity, transport: TransportOptions) -> Result<Listener> {
    let socket = Socket::bind(addr).or_else(|e| match addr.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) if e.kind() != std::io::ErrorKind::AddrInUse => {
            Socket::bind((Ipv4Addr::UNSPECIFIED, addr.port()).into())
        }
        _ => Err(e),
    });
    let socket = socket.map_err(|e| {
        socket_error(&format!("cannot listen on {addr}"), &e).hint("choose another port with --listen [::]:PORT")
    })?;
    listen_on(socket, identity, transport)
}

/// Listens on a socket: the line may be anything that carries datagrams.
///
/// # Errors
/// [`Kind::Network`] where the socket has no address.
pub fn listen_on(socket: Socket, identity: &RelayIdentity, transport: TransportOptions) -> Result<Listener> {
    let crypto = QuicServerConfig::try_from(identity.server_config(Aes::detect())?)
        .map_err(|e| Error::new(Kind::Transfer, format!("TLS cannot be set up: {e}")))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config(STREAMS_PER_CLIENT, ORDINARY_PACKET, transport.congestion)));
    let (clamped, ways) = (socket.clamped(), socket.ways());
    let endpoint = endpoint(socket, Some((config.clone(), identity)))?;
    let clamped = clamped.filter(|_| !endpoint.local_addr().is_ok_and(is_near));
    Ok(Listener { endpoint, clamped, ways, transport, config })
}

impl Listener {
    /// The next client that knocks; `None` once the listener is closed.
    pub async fn accept(&self) -> Option<quinn::Incoming> {
        self.endpoint.accept().await
    }

    /// Lets a client in and completes its handshake. Packets to it are as long as the way allows.
    ///
    /// # Errors
    /// How the handshake failed.
    pub async fn complete_handshake(&self, incoming: quinn::Incoming) -> Result<Connection, quinn::ConnectionError> {
        let connecting = match self.ways.longest_packet(incoming.remote_address()) {
            ORDINARY_PACKET => incoming.accept()?,
            longest => {
                let mut config = self.config.clone();
                config.transport_config(Arc::new(transport_config(
                    STREAMS_PER_CLIENT,
                    longest,
                    self.transport.congestion,
                )));
                incoming.accept_with(Arc::new(config))?
            }
        };
        Ok(Connection::new(connecting.await?, self.transport))
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// How its socket came short of buffers, where it did; nothing for one that only this machine can reach.
    pub fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped
    }

    /// Closes every connection with `code`, and takes no more.
    pub fn close(&self, code: u32) {
        self.endpoint.close(code.into(), &[]);
    }

    /// Waits until every connection is gone: once closed, until the goodbyes have left.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// Whether the other end is on this machine.
fn is_near(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

fn endpoint(socket: Socket, server: Option<(quinn::ServerConfig, &RelayIdentity)>) -> Result<quinn::Endpoint> {
    let mut config = match &server {
        Some((_, identity)) => known_again(identity),
        None => quinn::EndpointConfig::default(),
    };
    let server = server.map(|(config, _)| config);
    let _ = config.max_udp_payload_size(LONGEST_PACKET); // fails only outside of 1,200 to 65,527
    let (carrier, seed) = socket.into_parts();
    config.rng_seed(seed);
    quinn::Endpoint::new_with_abstract_socket(config, server, carrier, Arc::new(quinn::TokioRuntime))
        .map_err(|e| socket_error("cannot use the UDP socket", &e))
}

/// Of an endpoint whose next process tells the clients of this one that it has forgotten them (RFC 9000 section 10.3): it
/// has the same key for stateless resets, and knows its own connection ids again. Packets with others go unanswered.
fn known_again(identity: &RelayIdentity) -> quinn::EndpointConfig {
    /// A restart is to be told to all clients at once; a reset is shorter than what it answers.
    const BETWEEN_RESETS: Duration = Duration::from_micros(100);
    let key = |purpose| identity.derive(purpose);
    let resets = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key("qshare relay 2026 stateless reset")[..]);
    let [a, b, c, d, e, f, g, h, ..] = *key("qshare relay 2026 connection ids");
    let ids = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let mut config = quinn::EndpointConfig::new(Arc::new(resets));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config.min_reset_interval(BETWEEN_RESETS);
    config
}

/// A connection to a relay, and how it was verified.
#[derive(Debug)]
pub struct RelayConnection {
    /// The connection.
    pub connection: Connection,
    /// How the relay proved who it is.
    pub verified: VerifiedRelay,
    /// Which of its addresses answered.
    pub relay: RelayAddr,
    clamped: Option<ClampedBuffers>,
    /// Keeps the socket open.
    endpoint: quinn::Endpoint,
}

impl RelayConnection {
    /// How its socket came short of buffers, where it did; nothing for a relay on this machine.
    pub fn clamped_buffers(&self) -> Option<ClampedBuffers> {
        self.clamped
    }

    /// Closes the connection and waits, at most a moment, until the other side can have heard of it.
    pub async fn close(self) {
        /// The endpoint drains for three times its probe timeout, but the packet leaves at once; where it is lost, the
        /// other side hears of the end by its idle timeout.
        const CLOSE_PACKET_LINGER: Duration = Duration::from_millis(20);
        self.connection.close();
        let _ = timeout(CLOSE_PACKET_LINGER, self.endpoint.wait_idle()).await;
    }
}

/// Connects to the first of a relay's addresses that answers and is whom it should be.
///
/// Names are resolved, the IP versions take turns, and each address has a head start over the next (RFC 8305).
///
/// # Errors
/// [`Kind::Network`] within ten seconds: no address answers, or it is not the relay expected.
pub async fn connect(
    relays: &[RelayAddr],
    expect: TrustPolicy,
    transport: TransportOptions,
) -> Result<RelayConnection> {
    let socket = Socket::bind((Ipv6Addr::UNSPECIFIED, 0).into())
        .or_else(|_| Socket::bind((Ipv4Addr::UNSPECIFIED, 0).into()))
        .map_err(|e| socket_error("cannot open a UDP socket", &e))?;
    connect_over(socket, relays, expect, transport).await
}

/// Connects as [`connect`] does, over a socket: the line may be anything that carries datagrams.
///
/// # Errors
/// As [`connect`].
pub async fn connect_over(
    socket: Socket,
    relays: &[RelayAddr],
    expect: TrustPolicy,
    transport: TransportOptions,
) -> Result<RelayConnection> {
    let (clamped, ways) = (socket.clamped(), socket.ways());
    let caller = Caller { endpoint: endpoint(socket, None)?, ways, expect, transport };
    match timeout(CONNECT_TIMEOUT, race(&caller, relays)).await {
        Ok(outcome) => {
            let (connection, verified, relay) = outcome?;
            debug!("connected to a relay, which {:?} vouches for", verified.by);
            let clamped = clamped.filter(|_| !is_near(connection.quic().remote_address()));
            Ok(RelayConnection { connection, verified, relay, clamped, endpoint: caller.endpoint })
        }
        Err(_) => Err(unreachable_relay(relays, "it does not answer")),
    }
}

/// Connects to one relay, as often as it must. A handle: clones share one.
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn() -> Dialing + Send + Sync>);

/// A connection that is being made.
type Dialing = Pin<Box<dyn Future<Output = Result<RelayConnection>> + Send>>;

impl Dialer {
    /// Connects as [`connect`] does.
    pub fn new(relays: Vec<RelayAddr>, expect: TrustPolicy, transport: TransportOptions) -> Self {
        Self::from_fn(move || {
            let relays = relays.clone();
            async move { connect(&relays, expect, transport).await }
        })
    }

    /// Connects as `dial` does.
    pub fn from_fn<F>(dial: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<RelayConnection>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(dial())))
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn dial(&self) -> Result<RelayConnection> {
        (self.0)().await
    }
}

/// Who connects, and what it wants.
#[derive(Clone)]
struct Caller {
    endpoint: quinn::Endpoint,
    ways: Ways,
    expect: TrustPolicy,
    transport: TransportOptions,
}

type Winner = (Connection, VerifiedRelay, RelayAddr);

async fn race(caller: &Caller, relays: &[RelayAddr]) -> Result<Winner> {
    let candidates = resolve(relays).await?;
    let mut attempts = JoinSet::new();
    for (i, (relay, addr)) in candidates.into_iter().enumerate() {
        let caller = caller.clone();
        attempts.spawn(async move {
            sleep(HEAD_START * i as u32).await;
            attempt(&caller, &relay, addr).await.map(|(c, v)| (c, v, relay))
        });
    }
    let mut first_failure = None;
    while let Some(done) = attempts.join_next().await {
        match done {
            Ok(Ok(winner)) => return Ok(winner),
            Ok(Err(e)) => first_failure = first_failure.or(Some(e)),
            Err(_) => {}
        }
    }
    Err(first_failure.unwrap_or_else(|| unreachable_relay(relays, "it has no address")))
}

/// The addresses of all names, IPv6 and IPv4 in turn, each with the name it came from.
async fn resolve(relays: &[RelayAddr]) -> Result<Vec<(RelayAddr, SocketAddr)>> {
    let (mut v6, mut v4) = (Vec::new(), Vec::new());
    let mut failure = None;
    for relay in relays {
        match tokio::net::lookup_host((relay.host.as_str(), relay.port)).await {
            Ok(found) => {
                for addr in found {
                    let list = if addr.is_ipv6() { &mut v6 } else { &mut v4 };
                    list.push((relay.clone(), addr));
                }
            }
            Err(_) => failure = Some(unreachable_relay(std::slice::from_ref(relay), "its name is not known")),
        }
    }
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut all = Vec::new();
    loop {
        match (v6.next(), v4.next()) {
            (None, None) => break,
            (a, b) => all.extend(a.into_iter().chain(b)),
        }
    }
    all.truncate(MOST_ADDRESSES);
    match failure {
        Some(failure) if all.is_empty() => Err(failure),
        _ => Ok(all),
    }
}

async fn attempt(caller: &Caller, relay: &RelayAddr, addr: SocketAddr) -> Result<(Connection, VerifiedRelay)> {
    let (tls, verdict) = tls::client_config(caller.expect, Aes::detect())?;
    let crypto = QuicClientConfig::try_from(tls)
        .map_err(|e| Error::new(Kind::Transfer, format!("TLS cannot be set up: {e}")))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let longest = caller.ways.longest_packet(addr);
    config.transport_config(Arc::new(transport_config(DOWNLOADS_AT_ONCE, longest, caller.transport.congestion)));
    let because = |why: &str| unreachable_relay(std::slice::from_ref(relay), why);
    let connecting = caller.endpoint.connect_with(config, addr, &relay.host).map_err(|e| because(&e.to_string()))?;
    let connected = connecting.await;
    let verdict = *verdict.lock();
    match (connected, verdict) {
        (Ok(connection), VerificationResult::VerifiedRelay(verified)) => {
            Ok((Connection::new(connection, caller.transport), verified))
        }
        (_, VerificationResult::Refused(refusal)) => Err(wrong_relay(relay, refusal)),
        (Err(quinn::ConnectionError::TimedOut), _) => Err(because("it does not answer")),
        (Err(quinn::ConnectionError::VersionMismatch), _) => Err(because("it speaks another version of QUIC")),
        (Err(quinn::ConnectionError::ConnectionClosed(close)), _)
            if close.error_code == quinn_proto::TransportErrorCode::CONNECTION_REFUSED =>
        {
            Err(because("it takes nobody in now"))
        }
        (Err(quinn::ConnectionError::ConnectionClosed(_)), _) => Err(because("what answers there is no qshare relay")),
        (Err(e), _) => Err(because(&crate::text::visible(&e.to_string()))),
        (Ok(_), VerificationResult::None) => Err(because("it did not show a certificate")),
    }
}

fn unreachable_relay(relays: &[RelayAddr], why: &str) -> Error {
    let names: Vec<String> = relays.iter().map(ToString::to_string).collect();
    Error::new(Kind::Network, format!("cannot reach the relay {}: {why}", names.join(" or ")))
        .hint("check its address, that it runs, and that UDP passes the firewalls on the way")
        .transient()
}

fn wrong_relay(relay: &RelayAddr, refusal: Refusal) -> Error {
    let (what, hint) = match refusal {
        Refusal::Pin => ("has another key than the pin says", "ask for a new link; somebody may be in between"),
        Refusal::Changed => (
            "has another key than at first contact",
            "ask whoever runs it; if the change is right, give the new pin: --relay HOST:PORT#PIN",
        ),
        Refusal::Downgraded => (
            "has lost its public certificate",
            "ask whoever runs it; if the change is right, give its pin: --relay HOST:PORT#PIN",
        ),
    };
    Error::new(Kind::Network, format!("the relay {relay} {what}; nothing was sent")).hint(hint)
}

/// A socket error as this crate shows it.
fn socket_error(what: &str, e: &std::io::Error) -> Error {
    Error::new(Kind::Network, format!("{what}: {e}"))
}

/// The addresses under which this machine can be reached in its network, IPv4 first; loopback where there is no other.
pub fn local_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|ip| !ip.is_loopback() && !is_link_local(ip))
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    addresses
}

/// Addresses that are good on one link only and need a zone to be used.
fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    #[tokio::test]
    async fn a_client_finds_the_right_one_of_several_addresses() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let identity = RelayIdentity::load_or_create(&dir.subfolder("a").unwrap()).unwrap();
        let other = RelayIdentity::load_or_create(&dir.subfolder("b").unwrap()).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let [right, wrong] = [
            listen(any, &identity, TransportOptions::default()).unwrap(),
            listen(any, &other, TransportOptions::default()).unwrap(),
        ];
        let [right_addr, wrong_addr] = [&right, &wrong].map(|e| RelayAddr::from(e.local_addr().unwrap()));
        for endpoint in [right, wrong] {
            tokio::spawn(async move {
                while let Some(incoming) = endpoint.accept().await {
                    if let Ok(connection) = endpoint.complete_handshake(incoming).await {
                        tokio::spawn(async move { connection.closed().await });
                    }
                }
            });
        }
        let expect = TrustPolicy::Pin(identity.pin());
        let found =
            connect(&[wrong_addr.clone(), right_addr.clone()], expect, TransportOptions::default()).await.unwrap();
        assert_eq!((found.relay, found.verified.pin), (right_addr, identity.pin()));
        let refused = connect(&[wrong_addr], expect, TransportOptions::default()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Network);
        assert!(refused.message().contains("another key"), "{refused}");
    }

    /// Both ends send 16 MiB, and find out that packets of 6,500 bytes get through, ten of them in a call.
    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn packets_on_loopback_are_long_and_leave_in_batches() {
        use crate::net::{RecvHalf, SendHalf};

        const CHUNK: usize = 256 * 1024;
        const CHUNKS: usize = 64;
        async fn exchange((mut send, mut recv): (SendHalf, RecvHalf)) {
            let write = async {
                for _ in 0..CHUNKS {
                    send.write(vec![7; CHUNK].into()).await.unwrap();
                }
                send.finish();
                send.wait_until_delivered().await;
            };
            tokio::join!(write, async { while recv.read().await.unwrap().is_some() {} });
        }
        let home = tempfile::tempdir().unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        for any in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::UNSPECIFIED, 0).into()] {
            let Ok(listener) = listen(any, &identity, TransportOptions::default()) else { continue }; // without IPv6
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()));
            let server = async {
                let connection = listener.complete_handshake(listener.accept().await.unwrap()).await.unwrap();
                exchange(connection.accept_stream().await.unwrap()).await;
                connection.quic().stats()
            };
            let client = async {
                let connected = connect(&[addr.into()], TrustPolicy::Pin(identity.pin()), TransportOptions::default())
                    .await
                    .unwrap();
                exchange(connected.connection.open_stream().await.unwrap()).await;
                connected.connection.quic().stats()
            };
            for stats in <[_; 2]>::from(tokio::join!(server, client)) {
                assert_eq!(stats.path.current_mtu, LONGEST_PACKET, "{stats:?}");
                assert_eq!(stats.path.black_holes_detected, 0, "{stats:?}");
                assert!(stats.udp_tx.datagrams > 3 * stats.udp_tx.ios, "{stats:?}");
            }
        }
    }

    #[test]
    fn a_machine_has_an_address() {
        assert!(!local_addresses().is_empty());
    }
}
