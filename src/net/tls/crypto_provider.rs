//! The cryptography of all TLS connections.

use std::sync::Arc;

use rustls::crypto::{
    CryptoProvider,
    ring::{
        cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256},
        default_provider,
    },
};

use crate::processor::Aes;

/// Returns `ring`'s provider with the cipher suites in the order of their speed on this processor.
///
/// AES-128 comes before AES-256 because it has ten rounds instead of fourteen. Content that the relay must not read is
/// sealed with a separate 256-bit key. QUIC's first packets use AES-128 in any case (RFC 9001 section 5.2).
pub(super) fn crypto_provider(aes: Aes) -> Arc<CryptoProvider> {
    let cipher_suites = match aes {
        Aes::InHardware => [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256],
        Aes::InSoftware => [TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384],
    };
    Arc::new(CryptoProvider { cipher_suites: cipher_suites.to_vec(), ..default_provider() })
}
