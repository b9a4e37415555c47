//! TLS of the leg between a client and a relay: the relay's identity, and how a client checks it.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider,
        ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256};
use tracing::warn;
use zeroize::Zeroizing;

use super::trust::{TrustPolicy, VerifiedBy, VerifiedRelay};
use crate::{
    code::Pin,
    error::{Error, Kind, Result},
    processor::Aes,
    state::StateDir,
    sync::Mutex,
    wire::relay::ALPN,
};

const CERTIFICATE: &str = "relay.crt";
const KEY: &str = "relay.key";
const SECRET: &str = "relay.secret";

/// A PEM file longer than this is not one of ours.
const LONGEST_PEM: u64 = 256 * 1024;

/// The provider of all TLS here: `ring`, its suites in the order of what this processor does fast. AES-128 comes before
/// AES-256, for its ten rounds instead of fourteen: what is to be kept from the relay is sealed under 256 bits of its
/// own. QUIC's first packets are AES-128 in any case (RFC 9001 section 5.2).
fn provider(aes: Aes) -> Arc<CryptoProvider> {
    let cipher_suites = match aes {
        Aes::InHardware => [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256],
        Aes::InSoftware => [TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384],
    };
    Arc::new(CryptoProvider { cipher_suites: cipher_suites.to_vec(), ..rustls::crypto::ring::default_provider() })
}

/// A relay's certificate chain and private key, and a secret that outlives its process.
pub struct RelayIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
    secret: Zeroizing<[u8; 32]>,
}

impl RelayIdentity {
    /// Reads `relay.crt` and `relay.key` from `dir`; where there is neither, makes a self-signed pair (the key 0600).
    /// Beside them is `relay.secret`, which is made where it is missing; where it cannot be written, it is forgotten.
    ///
    /// # Errors
    /// [`Kind::Disk`] where one of the two is missing, cannot be read or written, or is no PEM.
    pub fn load_or_create(dir: &StateDir) -> Result<Self> {
        let bad = |name: &str, what: &str| {
            Error::new(Kind::Disk, format!("{} {what}", dir.path(name).display()))
                .hint("put both halves there as PEM, or remove both to have a new pair made")
        };
        let (chain, key) = match (dir.read(CERTIFICATE, LONGEST_PEM)?, dir.read(KEY, LONGEST_PEM)?) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) => create(dir)?,
            (None, Some(_)) => return Err(bad(CERTIFICATE, "is missing beside its key")),
            (Some(_), None) => return Err(bad(KEY, "is missing beside its certificate")),
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|_| bad(CERTIFICATE, "is no PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| bad(KEY, "is no PEM of a private key"))?;
        let leaf = chain.first().ok_or_else(|| bad(CERTIFICATE, "has no certificate in it"))?;
        let pin = pin_of(leaf).map_err(|_| bad(CERTIFICATE, "has a certificate that cannot be read"))?;
        Ok(Self { chain, key, pin, secret: secret(dir)? })
    }

    /// The pin of the key: what clients may be told to expect.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// A key for one purpose, from the secret.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, &self.secret[..]))
    }

    /// The server's side of TLS 1.3, on a processor that does AES like this. The client's order of suites counts, unless
    /// AES is slow here: where it is at either end, the two get ChaCha20.
    pub(super) fn server_config(&self, aes: Aes) -> Result<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider(aes))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| tls_error(&e))?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| tls_error(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.ignore_client_order = aes == Aes::InSoftware;
        Ok(config)
    }
}

impl fmt::Debug for RelayIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// Reads the secret, or makes it.
fn secret(dir: &StateDir) -> Result<Zeroizing<[u8; 32]>> {
    if let Some(kept) = dir.read(SECRET, 32)? {
        let kept = Zeroizing::new(kept);
        return <[u8; 32]>::try_from(&kept[..]).map(Zeroizing::new).map_err(|_| {
            Error::new(Kind::Disk, format!("{} is damaged", dir.path(SECRET).display()))
                .hint("remove it to have a new one made; senders then get new codes")
        });
    }
    let made = Zeroizing::new(rand::random::<[u8; 32]>());
    if let Err(e) = dir.write(SECRET, &made[..]) {
        warn!("senders will get new codes after a restart: {e}");
    }
    Ok(made)
}

/// Makes a self-signed pair and stores it. Clients recognise it by its pin, so that its names say nothing.
fn create(dir: &StateDir) -> Result<(Vec<u8>, Vec<u8>)> {
    let failed = |e: rcgen::Error| Error::new(Kind::Transfer, format!("no certificate could be made: {e}"));
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(vec!["qshare-relay".to_owned()]).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "qshare relay");
    let certificate = params.self_signed(&key).map_err(failed)?;
    let (certificate, key) = (certificate.pem().into_bytes(), key.serialize_pem().into_bytes());
    dir.write(KEY, &key)?;
    dir.write(CERTIFICATE, &certificate)?;
    Ok((certificate, key))
}

fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, rustls::Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(Pin::new(Sha256::digest(&spki).into()))
}

fn tls_error(e: &rustls::Error) -> Error {
    Error::new(Kind::Disk, format!("the relay's certificate cannot be used: {e}"))
        .hint("remove relay.crt and relay.key to have a new pair made")
}

/// The client's side of TLS 1.3, on a processor that does AES like this, and where its verdict about the relay will
/// stand.
pub(super) fn client_config(
    expect: TrustPolicy,
    aes: Aes,
) -> Result<(rustls::ClientConfig, Arc<Mutex<VerificationResult>>)> {
    let verdict = Arc::new(Mutex::new(VerificationResult::None));
    let provider = provider(aes);
    let verifier = Verifier { expect, provider: Arc::clone(&provider), verdict: Arc::clone(&verdict) };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| tls_error(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok((config, verdict))
}

/// What the verifier found about a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VerificationResult {
    /// It was not asked yet.
    None,
    /// Accepted.
    VerifiedRelay(VerifiedRelay),
    /// Refused.
    Refused(Refusal),
}

/// Why a relay's certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The key is not the one that was pinned by hand or by a link.
    Pin,
    /// The key is not the one of the first contact.
    Changed,
    /// A public authority vouched for this relay before, and none does now.
    Downgraded,
}

#[derive(Debug)]
struct Verifier {
    expect: TrustPolicy,
    provider: Arc<CryptoProvider>,
    verdict: Arc<Mutex<VerificationResult>>,
}

impl Verifier {
    /// The order of trust: a given pin is the only test; else a public authority; else the pin of the first contact.
    fn judge(&self, pin: Pin, by_authority: impl FnOnce() -> bool) -> Result<VerifiedRelay, Refusal> {
        let by = match self.expect {
            TrustPolicy::Pin(expected) if expected == pin => VerifiedBy::Pin,
            TrustPolicy::Pin(_) => return Err(Refusal::Pin),
            TrustPolicy::AnyKey => VerifiedBy::Unverified,
            _ if by_authority() => VerifiedBy::Authority,
            TrustPolicy::Authority => return Err(Refusal::Downgraded),
            TrustPolicy::StoredPin(expected) if expected == pin => VerifiedBy::StoredPin,
            TrustPolicy::StoredPin(_) => return Err(Refusal::Changed),
            TrustPolicy::FirstContact => VerifiedBy::FirstContact,
        };
        Ok(VerifiedRelay { pin, by })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = pin_of(end_entity)?;
        let by_authority = || {
            rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider)).is_ok_and(|platform| {
                platform.verify_server_cert(end_entity, intermediates, server_name, ocsp, now).is_ok()
            })
        };
        let judged = self.judge(pin, by_authority);
        *self.verdict.lock() = judged.map_or_else(VerificationResult::Refused, VerificationResult::VerifiedRelay);
        match judged {
            Ok(_) => Ok(ServerCertVerified::assertion()),
            Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has no TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(expect: TrustPolicy, pin: u8, authority: bool) -> Result<VerifiedBy, Refusal> {
        let verifier = Verifier {
            expect,
            provider: provider(Aes::detect()),
            verdict: Arc::new(Mutex::new(VerificationResult::None)),
        };
        verifier.judge(Pin::new([pin; 32]), || authority).map(|v| v.by)
    }

    #[test]
    fn trust_has_an_order() {
        let pin = |n| Pin::new([n; 32]);
        assert_eq!(judge(TrustPolicy::Pin(pin(1)), 1, false), Ok(VerifiedBy::Pin));
        assert_eq!(judge(TrustPolicy::Pin(pin(1)), 2, true), Err(Refusal::Pin), "an authority does not outvote a pin");
        assert_eq!(judge(TrustPolicy::FirstContact, 1, true), Ok(VerifiedBy::Authority));
        assert_eq!(judge(TrustPolicy::FirstContact, 1, false), Ok(VerifiedBy::FirstContact));
        assert_eq!(judge(TrustPolicy::StoredPin(pin(1)), 1, false), Ok(VerifiedBy::StoredPin));
        assert_eq!(judge(TrustPolicy::StoredPin(pin(1)), 2, false), Err(Refusal::Changed));
        assert_eq!(judge(TrustPolicy::StoredPin(pin(1)), 2, true), Ok(VerifiedBy::Authority));
        assert_eq!(judge(TrustPolicy::Authority, 1, true), Ok(VerifiedBy::Authority));
        assert_eq!(judge(TrustPolicy::Authority, 1, false), Err(Refusal::Downgraded));
        assert_eq!(judge(TrustPolicy::AnyKey, 1, false), Ok(VerifiedBy::Unverified));
    }

    #[test]
    fn a_side_without_aes_gets_chacha20() {
        use Aes::{InHardware, InSoftware};
        use rustls::CipherSuite;

        let home = tempfile::tempdir().unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        for (client, server, expected) in [
            (InHardware, InHardware, CipherSuite::TLS13_AES_128_GCM_SHA256),
            (InSoftware, InHardware, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
            (InHardware, InSoftware, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
            (InSoftware, InSoftware, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        ] {
            let (config, _) = client_config(TrustPolicy::AnyKey, client).unwrap();
            let name = ServerName::try_from("relay").unwrap();
            let mut client_end = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
            let config = identity.server_config(server).unwrap();
            let mut server_end = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            while client_end.is_handshaking() || server_end.is_handshaking() {
                let mut bytes = Vec::new();
                while client_end.wants_write() {
                    client_end.write_tls(&mut bytes).unwrap();
                }
                server_end.read_tls(&mut &bytes[..]).unwrap();
                server_end.process_new_packets().unwrap();
                bytes.clear();
                while server_end.wants_write() {
                    server_end.write_tls(&mut bytes).unwrap();
                }
                client_end.read_tls(&mut &bytes[..]).unwrap();
                client_end.process_new_packets().unwrap();
            }
            let suite = client_end.negotiated_cipher_suite().unwrap().suite();
            assert_eq!(suite, expected, "{client:?} {server:?}");
        }
    }

    #[test]
    fn an_identity_is_made_once_and_keeps_its_pin() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let made = RelayIdentity::load_or_create(&dir).unwrap();
        let loaded = RelayIdentity::load_or_create(&dir).unwrap();
        assert_eq!(made.pin(), loaded.pin());
        loaded.server_config(Aes::detect()).unwrap();
        assert!(!format!("{made:?}").contains("PRIVATE"));
        dir.remove(CERTIFICATE);
        assert_eq!(RelayIdentity::load_or_create(&dir).unwrap_err().kind(), Kind::Disk);
        dir.write(CERTIFICATE, b"nonsense").unwrap();
        assert_eq!(RelayIdentity::load_or_create(&dir).unwrap_err().kind(), Kind::Disk);
    }
}
