//! The pin of a certificate.

use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use sha2::{Digest, Sha256};

use crate::code::Pin;

/// Returns the SHA-256 of the certificate's SubjectPublicKeyInfo. It stays the same when a certificate is renewed with
/// the same key.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, rustls::Error> {
    let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(Pin::new(Sha256::digest(&spki).into()))
}
