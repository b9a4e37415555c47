//! Two quinn endpoints on a network and nothing else, to test a transport configuration on a path.
//!
//! All random numbers of a run come from the network's seed, except some of a fixed length, so that a run in virtual
//! time repeats to the packet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use qshare::internals::net::CongestionControl;
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

use super::{host::Host, link_config::LinkConfig, network::Network, network_path::NetworkPath, socket::VirtualSocket};

/// The name in the server's certificate.
const NAME: &str = "receiver";

/// The size of a write.
const CHUNK: usize = 256 * 1024;

/// A connection from a sender, which is the client, to a receiver, which is the server.
pub(crate) struct QuicPair {
    /// The client's host.
    pub(crate) sender: Host,
    /// The server's host.
    pub(crate) receiver: Host,
    /// The client's end of the connection.
    pub(crate) client: Connection,
    /// The server's end of the connection.
    pub(crate) server: Connection,
    received: Arc<AtomicU64>,
    endpoints: [Endpoint; 2],
}

/// The result of a bulk transfer.
#[derive(Debug, Clone)]
pub(crate) struct BulkTransfer {
    /// The number of bytes.
    pub(crate) bytes: u64,
    /// The time from the first write to the last read.
    pub(crate) duration: Duration,
    /// The time from the read that completed the first half to the last read.
    pub(crate) second_half: Duration,
    /// The statistics of the sender's connection since its beginning.
    pub(crate) stats: ConnectionStats,
}

impl BulkTransfer {
    /// Returns the goodput in bits per second.
    pub(crate) fn goodput(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.duration.as_secs_f64()
    }

    /// Returns the goodput of the second half, without the start-up, in bits per second.
    pub(crate) fn steady_goodput(&self) -> f64 {
        self.bytes as f64 * 4.0 / self.second_half.as_secs_f64()
    }
}

impl QuicPair {
    /// Connects two new hosts over `path`.
    pub(crate) async fn connect(
        network: &Network,
        path: &NetworkPath,
        client_config: TransportConfig,
        server_config: TransportConfig,
    ) -> Self {
        let (sender, receiver) = (network.host(), network.host());
        network.connect(&sender, &receiver, path);
        let (client_config, server_config) = tls_configs(client_config, server_config);
        let socket = receiver.bind(0);
        let addr = socket.addr();
        let listening = endpoint(network, socket, Some(server_config));
        let connecting = endpoint(network, sender.bind(0), None);
        let (client, server) =
            tokio::join!(async { connecting.connect_with(client_config, addr, NAME).unwrap().await.unwrap() }, async {
                listening.accept().await.unwrap().await.unwrap()
            },);
        let endpoints = [connecting, listening];
        Self { sender, receiver, client, server, received: Arc::default(), endpoints }
    }

    /// Connects two new hosts over `path`, limited only by this congestion control.
    pub(crate) async fn connect_with(network: &Network, path: &NetworkPath, congestion: CongestionControl) -> Self {
        let config = || {
            let mut config = TransportConfig::default();
            config.send_window(u64::from(u32::MAX)).stream_receive_window(VarInt::MAX);
            congestion.configure(&mut config, 32 * 1452);
            config
        };
        Self::connect(network, path, config(), config()).await
    }

    /// Sends an endless stream while `work` runs, and returns the result of `work`.
    pub(crate) async fn send_while<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            result = work => result,
            _ = self.transfer(u64::MAX) => unreachable!("the stream is endless"),
        }
    }

    /// Sends two endless streams over one bottleneck, of which the second starts 5 s later. Returns the share of the
    /// first stream in the bytes of both, counted for `counted` from 20 s after the start of the second.
    pub(crate) async fn bandwidth_share(
        network: &Network,
        bottleneck: &LinkConfig,
        congestion: [CongestionControl; 2],
        counted: Duration,
    ) -> f64 {
        const START_OF_SECOND: Duration = Duration::from_secs(5);
        const CONVERGENCE: Duration = Duration::from_secs(20);
        let path = network.path(bottleneck);
        let first = Self::connect_with(network, &path, congestion[0]).await;
        let competing = async {
            sleep(START_OF_SECOND).await;
            let second = Self::connect_with(network, &path, congestion[1]).await;
            let received = || [first.received_bytes(), second.received_bytes()];
            let counting = async {
                sleep(CONVERGENCE).await;
                let before = received();
                sleep(counted).await;
                let after = received();
                let [a, b] = [0, 1].map(|i| (after[i] - before[i]) as f64);
                a / (a + b)
            };
            second.send_while(counting).await
        };
        first.send_while(competing).await
    }

    /// Transfers `bytes` over a new stream. Transfers must not overlap.
    pub(crate) async fn transfer(&self, bytes: u64) -> BulkTransfer {
        let began = Instant::now();
        let before = self.received_bytes();
        let mut half = Duration::ZERO;
        let sending = async {
            let mut stream = self.client.open_uni().await.unwrap();
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
            let mut stream = self.server.accept_uni().await.unwrap();
            while let Some(chunk) = stream.read_chunk(usize::MAX, false).await.unwrap() {
                let arrived = self.received.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed) - before;
                if arrived + chunk.bytes.len() as u64 <= bytes / 2 {
                    half = began.elapsed();
                }
            }
        };
        tokio::join!(sending, receiving);
        let duration = began.elapsed();
        BulkTransfer { bytes, duration, second_half: duration - half, stats: self.client.stats() }
    }

    /// Returns the number of bytes read so far on all streams.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Moves the sender to another host, which is connected to the receiver by `path`.
    pub(crate) fn migrate(&self, network: &Network, path: &NetworkPath) {
        let host = network.host();
        network.connect(&host, &self.receiver, path);
        self.endpoints[0].rebind_abstract(host.bind(0)).unwrap();
    }

    /// Closes the connection.
    pub(crate) fn close(&self) {
        self.client.close(VarInt::from_u32(0), &[]);
    }
}

/// Creates an endpoint whose random numbers depend only on the network's seed and on the address.
fn endpoint(network: &Network, socket: Arc<VirtualSocket>, server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(*blake3::hash(format!("{} {}", network.seed(), socket.addr()).as_bytes()).as_bytes()));
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime)).unwrap()
}

/// An Ed25519 key as PKCS #8 (RFC 8410 section 7). Because it is constant, so is the length of its signatures.
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

/// Creates TLS configurations for both ends: the client trusts the server's certificate.
fn tls_configs(sender: TransportConfig, receiver: TransportConfig) -> (ClientConfig, ServerConfig) {
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
