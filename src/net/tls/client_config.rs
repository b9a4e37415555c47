//! The client's TLS configuration.

use std::sync::Arc;

use super::{
    crypto_provider::crypto_provider,
    relay_verifier::{RelayVerifier, VerificationResult},
};
use crate::{
    error::{Error, Kind, Result},
    net::trust::TrustPolicy,
    processor::Aes,
    sync::Mutex,
    wire::relay::ALPN,
};

/// Returns the client's configuration of TLS 1.3, and where the verifier stores its result during the handshake.
pub(in crate::net) fn client_config(
    trust: TrustPolicy,
    aes: Aes,
) -> Result<(rustls::ClientConfig, Arc<Mutex<VerificationResult>>)> {
    let provider = crypto_provider(aes);
    let (verifier, result) = RelayVerifier::new(trust, Arc::clone(&provider));
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| Error::new(Kind::Transfer, format!("cannot configure TLS: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok((config, result))
}

#[cfg(test)]
mod tests {
    use rustls::{
        CipherSuite,
        CipherSuite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256},
        ClientConnection, ServerConnection,
    };

    use super::*;
    use crate::{net::RelayIdentity, state::StateDir};

    #[test]
    fn both_ends_use_chacha20_if_aes_is_slow_at_either() {
        use Aes::{InHardware, InSoftware};

        let home = tempfile::tempdir().unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        for (client, server, expected) in [
            (InHardware, InHardware, TLS13_AES_128_GCM_SHA256),
            (InSoftware, InHardware, TLS13_CHACHA20_POLY1305_SHA256),
            (InHardware, InSoftware, TLS13_CHACHA20_POLY1305_SHA256),
            (InSoftware, InSoftware, TLS13_CHACHA20_POLY1305_SHA256),
        ] {
            assert_eq!(negotiated_suite(&identity, client, server), expected, "{client:?} {server:?}");
        }
    }

    /// Completes a handshake in memory and returns the cipher suite.
    fn negotiated_suite(identity: &RelayIdentity, client: Aes, server: Aes) -> CipherSuite {
        let (config, _) = client_config(TrustPolicy::Loopback, client).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), "relay".try_into().unwrap()).unwrap();
        let config = identity.server_config(server).unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut &bytes[..]).unwrap();
            server.process_new_packets().unwrap();
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut &bytes[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        client.negotiated_cipher_suite().unwrap().suite()
    }
}
