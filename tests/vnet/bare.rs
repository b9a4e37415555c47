//! Two quinn endpoints on a network, and nothing else: what a transport configuration does to a line.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use quinn::{
    ClientConfig, Connection, ConnectionStats, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{RootCertStore, crypto::ring::default_provider, pki_types::PrivateKeyDer, version::TLS13};
use tokio::time::Instant;

use super::{host::Host, network::Network, socket::Socket, way::Way};

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
    _endpoints: [Endpoint; 2],
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
        let listening = endpoint(socket, Some(server_config));
        let connecting = endpoint(client.bind(0), None);
        let (out, incoming) =
            tokio::join!(async { connecting.connect_with(client_config, addr, NAME).unwrap().await.unwrap() }, async {
                listening.accept().await.unwrap().await.unwrap()
            },);
        let endpoints = [connecting, listening];
        Self { sender: client, receiver: server, out, incoming, arrived: Arc::default(), _endpoints: endpoints }
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

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.out.close(VarInt::from_u32(0), &[]);
    }
}

fn endpoint(socket: Arc<Socket>, server: Option<ServerConfig>) -> Endpoint {
    let config = EndpointConfig::default();
    Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime)).unwrap()
}

/// TLS for both: the client trusts the certificate that the server has just made.
fn configs(sender: TransportConfig, receiver: TransportConfig) -> (ClientConfig, ServerConfig) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
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
