//! How a client verifies the certificate of a relay.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::pin::pin_of;
use crate::{
    code::Pin,
    net::trust::{TrustPolicy, VerifiedBy, VerifiedRelay},
    sync::Mutex,
};

/// The result of a verification. rustls reports only that a handshake failed, not why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum VerificationResult {
    /// No certificate has been verified yet.
    Pending,
    /// The relay is the expected one.
    Verified(VerifiedRelay),
    /// The relay is not the expected one.
    Refused(Refusal),
}

/// Why a relay's certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Refusal {
    /// The key does not match the pin that the user gave or that is in the link.
    WrongPin,
    /// The key differs from the key at first contact.
    KeyChanged,
    /// The relay had a certificate from a public authority before, and has none now.
    CertificateLost,
}

/// Verifies a relay's certificate according to a [`TrustPolicy`], and the signature of the handshake in any case.
#[derive(Debug)]
pub(super) struct RelayVerifier {
    trust: TrustPolicy,
    provider: Arc<CryptoProvider>,
    result: Arc<Mutex<VerificationResult>>,
}

impl RelayVerifier {
    /// Creates a verifier. Also returns where it stores its result.
    pub(super) fn new(trust: TrustPolicy, provider: Arc<CryptoProvider>) -> (Self, Arc<Mutex<VerificationResult>>) {
        let result = Arc::new(Mutex::new(VerificationResult::Pending));
        (Self { trust, provider, result: Arc::clone(&result) }, result)
    }
}

impl ServerCertVerifier for RelayVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = pin_of(end_entity)?;
        let has_public_certificate = || {
            rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider)).is_ok_and(|platform| {
                platform.verify_server_cert(end_entity, intermediates, server_name, ocsp, now).is_ok()
            })
        };
        let decision = decide(self.trust, pin, has_public_certificate);
        *self.result.lock() = decision.map_or_else(VerificationResult::Refused, VerificationResult::Verified);
        match decision {
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
        Err(rustls::Error::General("QUIC requires TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Decides whether to trust a relay with the key `pin`. A pin that the user or the link gives decides alone, and so
/// does the pin stored at first contact. Without either, a certificate from a public authority is sufficient.
fn decide(trust: TrustPolicy, pin: Pin, has_public_certificate: impl Fn() -> bool) -> Result<VerifiedRelay, Refusal> {
    let by = match trust {
        TrustPolicy::Pin(expected) if expected == pin => VerifiedBy::Pin,
        TrustPolicy::Pin(_) => return Err(Refusal::WrongPin),
        TrustPolicy::StoredPin(expected) if expected == pin => VerifiedBy::StoredPin,
        TrustPolicy::StoredPin(_) => return Err(Refusal::KeyChanged),
        TrustPolicy::Loopback | TrustPolicy::Nearby => VerifiedBy::Unverified,
        TrustPolicy::Authority | TrustPolicy::FirstContact if has_public_certificate() => VerifiedBy::Authority,
        TrustPolicy::Authority => return Err(Refusal::CertificateLost),
        TrustPolicy::FirstContact => VerifiedBy::FirstContact,
    };
    Ok(VerifiedRelay { pin, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_or_stored_pin_comes_before_an_authority() {
        let pin = |n| Pin::new([n; 32]);
        let decide = |trust, n, authority| decide(trust, pin(n), || authority).map(|verified| verified.by);
        assert_eq!(decide(TrustPolicy::Pin(pin(1)), 1, false), Ok(VerifiedBy::Pin));
        assert_eq!(
            decide(TrustPolicy::Pin(pin(1)), 2, true),
            Err(Refusal::WrongPin),
            "an authority cannot replace a pin"
        );
        assert_eq!(decide(TrustPolicy::FirstContact, 1, true), Ok(VerifiedBy::Authority));
        assert_eq!(decide(TrustPolicy::FirstContact, 1, false), Ok(VerifiedBy::FirstContact));
        assert_eq!(decide(TrustPolicy::StoredPin(pin(1)), 1, false), Ok(VerifiedBy::StoredPin));
        assert_eq!(decide(TrustPolicy::StoredPin(pin(1)), 2, false), Err(Refusal::KeyChanged));
        assert_eq!(decide(TrustPolicy::StoredPin(pin(1)), 1, true), Ok(VerifiedBy::StoredPin));
        assert_eq!(decide(TrustPolicy::StoredPin(pin(1)), 2, true), Err(Refusal::KeyChanged));
        assert_eq!(decide(TrustPolicy::Authority, 1, true), Ok(VerifiedBy::Authority));
        assert_eq!(decide(TrustPolicy::Authority, 1, false), Err(Refusal::CertificateLost));
        assert_eq!(decide(TrustPolicy::Loopback, 1, false), Ok(VerifiedBy::Unverified));
    }
}
