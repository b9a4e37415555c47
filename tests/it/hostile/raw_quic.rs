//! Peers that speak QUIC without the program's own code, with any flow-control windows.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use qshare::internals::wire::{
    HEADER,
    frame::read_header,
    relay::{ALPN, MAX_BODY},
};
use quinn::{
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};

/// The bytes that a flood writes at once.
const PIECE: usize = 64 * 1024;

/// What a peer lets the other side do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grants {
    /// The streams that the other side may open.
    pub(crate) streams: u32,
    /// The bytes that it may send ahead on each stream.
    pub(crate) stream_window: u32,
}

impl Grants {
    /// Everything that an honest peer grants.
    pub(crate) const AMPLE: Self = Self { streams: 1024, stream_window: 32 * 1024 * 1024 };

    fn transport(self) -> Arc<quinn::TransportConfig> {
        let mut config = quinn::TransportConfig::default();
        config
            .max_concurrent_bidi_streams(self.streams.into())
            .stream_receive_window(self.stream_window.into())
            .keep_alive_interval(Some(Duration::from_secs(2)))
            .send_window(1 << 30);
        Arc::new(config)
    }
}

/// Connects to a relay.
pub(crate) async fn connect(relay: SocketAddr, grants: Grants) -> quinn::Connection {
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    connect_over(&endpoint, relay, grants).await
}

/// Connects to a relay over `endpoint`.
pub(crate) async fn connect_over(endpoint: &quinn::Endpoint, relay: SocketAddr, grants: Grants) -> quinn::Connection {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::new(default_provider()))))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(grants.transport());
    endpoint.connect_with(config, relay, "relay").unwrap().await.unwrap()
}

/// Listens as a relay with a certificate of its own.
pub(crate) fn listen(grants: Grants) -> quinn::Endpoint {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["relay".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    config.transport_config(grants.transport());
    quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// Reads a frame, header included.
pub(crate) async fn read_frame(recv: &mut quinn::RecvStream) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    recv.read_exact(&mut frame).await.unwrap();
    let (_, length) = read_header(frame[..].try_into().unwrap());
    assert!(length <= MAX_BODY);
    frame.resize(HEADER + length as usize, 0);
    recv.read_exact(&mut frame[HEADER..]).await.unwrap();
    frame
}

/// Writes as much as the peer takes, at most `limit` bytes. Returns the code with which it stopped the stream, if it
/// did.
pub(crate) async fn flood(send: &mut quinn::SendStream, limit: usize) -> Option<VarInt> {
    let piece = Bytes::from(vec![7; PIECE]);
    for _ in 0..limit / PIECE {
        match send.write_chunk(piece.clone()).await {
            Ok(()) => {}
            Err(quinn::WriteError::Stopped(code)) => return Some(code),
            Err(_) => return None,
        }
    }
    None
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
