//! Two quinn endpoints on a network, and nothing else: what a transport configuration does to a line.
//!
//! All that chance decides here comes from the network's seed, but for numbers of a fixed length: a run in virtual time
//! repeats to the packet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use qshare::net::CongestionControl;
use quinn::{
    ClientConfig, Connection, ConnectionStats, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};
use tokio::time::{Instant, sleep};

use super::{host::Host, line::Line, network::Network, socket::Socket, way::Way};

/// The name in the receiver's certificate.
const NAME: &str = "receiver";

/// What is written at once.
const CHUNK: usize = 256 * 1024;

/// A connection from a sender, the client, to a receiver, the server.
pub(crate) struct Bare {
    /// The client's host.
    pub(crate) sender: Host,
    /// The server's host.
    pub(crate) receiver: Host,
    /// The client's end.
    pub(crate) out: Connection,
    /// The server's end.
    pub(crate) incoming: Connection,
    arrived: Arc<AtomicU64>,
    endpoints: [Endpoint; 2],
}

/// Bytes that have moved.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    /// How many.
    pub(crate) bytes: u64,
    /// From the first write to the last read.
    pub(crate) time: Duration,
    /// The second half of it: from the read that brought the first half to the last.
    pub(crate) second_half: Duration,
    /// What the sender's connection did, from its beginning.
    pub(crate) stats: ConnectionStats,
}

impl Moved {
    /// Bits a second, from the first write to the last read.
    pub(crate) fn goodput(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.time.as_secs_f64()
    }

    /// Bits a second of the second half, which knows no start-up.
    pub(crate) fn steady_goodput(&self) -> f64 {
        self.bytes as f64 * 4.0 / self.second_half.as_secs_f64()
    }
}

impl Bare {
    /// Connects two new hosts with this way between them.
    pub(crate) async fn connect(
        network: &Network,
        way: &Way,
        sender: TransportConfig,
        receiver: TransportConfig,
    ) -> Self {
        let (client, server) = (network.host(), network.host());
        network.route(&client, &server, way);
        let (client_config, server_config) = configs(sender, receiver);
        let socket = server.bind(0);
        let addr = socket.addr();
        let listening = endpoint(network, socket, Some(server_config));
        let connecting = endpoint(network, client.bind(0), None);
        let (out, incoming) =
            tokio::join!(async { connecting.connect_with(client_config, addr, NAME).unwrap().await.unwrap() }, async {
                listening.accept().await.unwrap().await.unwrap()
            },);
        let endpoints = [connecting, listening];
        Self { sender: client, receiver: server, out, incoming, arrived: Arc::default(), endpoints }
    }

    /// Connects two new hosts that are held back by nothing but this congestion control.
    pub(crate) async fn controlled(network: &Network, way: &Way, congestion: CongestionControl) -> Self {
        let config = || {
            let mut config = TransportConfig::default();
            config
                .congestion_controller_factory(congestion.factory(32 * 1452))
                .send_window(u64::from(u32::MAX))
                .stream_receive_window(VarInt::MAX);
            config
        };
        Self::connect(network, way, config(), config()).await
    }

    /// Sends without end beside `watching`, and gives what that saw.
    pub(crate) async fn run<T>(&self, watching: impl Future<Output = T>) -> T {
        tokio::select! {
            seen = watching => seen,
            _ = self.send(u64::MAX) => unreachable!(),
        }
    }

    /// Two streams without end through one line, the second 5 s later: the share of the first, from 20 s after that and
    /// for so long.
    pub(crate) async fn share(network: &Network, line: &Line, both: [CongestionControl; 2], counted: Duration) -> f64 {
        const LATER: Duration = Duration::from_secs(5);
        const SETTLING: Duration = Duration::from_secs(20);
        let way = network.way(line);
        let first = Self::controlled(network, &way, both[0]).await;
        let beside = async {
            sleep(LATER).await;
            let second = Self::controlled(network, &way, both[1]).await;
            let counting = async {
                sleep(SETTLING).await;
                let before = [first.arrived(), second.arrived()];
                sleep(counted).await;
                let [a, b] = [first.arrived() - before[0], second.arrived() - before[1]].map(|bytes| bytes as f64);
                a / (a + b)
            };
            second.run(counting).await
        };
        first.run(beside).await
    }

    /// Moves so many bytes over a stream of its own, to be called one after another.
    pub(crate) async fn send(&self, bytes: u64) -> Moved {
        let began = Instant::now();
        let before = self.arrived();
        let mut half = Duration::ZERO;
        let sending = async {
            let mut stream = self.out.open_uni().await.unwrap();
            let chunk = Bytes::from(vec![0x5a; CHUNK]);
            let mut left = bytes;
            while left > 0 {
                let part = chunk.slice(..left.min(CHUNK as u64) as usize);
                left -= part.len() as u64;
                stream.write_chunk(part).await.unwrap();
            }
            stream.finish().unwrap();
        };
        let receiving = async {
            let mut stream = self.incoming.accept_uni().await.unwrap();
            while let Some(chunk) = stream.read_chunk(usize::MAX, false).await.unwrap() {
                let arrived = self.arrived.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed) - before;
                if arrived + chunk.bytes.len() as u64 <= bytes / 2 {
                    half = began.elapsed();
                }
            }
        };
        tokio::join!(sending, receiving);
        let time = began.elapsed();
        Moved { bytes, time, second_half: time - half, stats: self.out.stats() }
    }

    /// Bytes read so far, over all streams.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// The sender goes on from another host, which has this way to the receiver.
    pub(crate) fn migrate(&self, network: &Network, way: &Way) {
        let host = network.host();
        network.route(&host, &self.receiver, way);
        self.endpoints[0].rebind_abstract(host.bind(0)).unwrap();
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.out.close(VarInt::from_u32(0), &[]);
    }
}

/// An endpoint that draws the same in every network with the same seed. A different host draws differently.
fn endpoint(network: &Network, socket: Arc<Socket>, server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(*blake3::hash(format!("{} {}", network.seed(), socket.addr()).as_bytes()).as_bytes()));
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime)).unwrap()
}

/// An Ed25519 key as PKCS #8 (RFC 8410 section 7). It is always the same, and so is the length of its signatures.
const KEY: [u8; 48] = {
    let mut key = [7; 48];
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let mut i = 0;
    while i < head.len() {
        key[i] = head[i];
        i += 1;
    }
    key
};

/// TLS for both: the client trusts the server's certificate.
fn configs(sender: TransportConfig, receiver: TransportConfig) -> (ClientConfig, ServerConfig) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(KEY.to_vec()));
    let signer = KeyPair::from_der_and_sign_algo(&key, &PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&signer).unwrap().der().clone();
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
    client.transport_config(Arc::new(sender));
    let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
    server.transport_config(Arc::new(receiver));
    (client, server)
}
