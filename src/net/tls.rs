//! TLS between a client and a relay: the identity of a relay, and how a client verifies it.

mod client_config;
mod crypto_provider;
mod pin;
mod relay_identity;
mod relay_verifier;

pub use self::relay_identity::RelayIdentity;
pub(super) use self::{
    client_config::client_config,
    relay_verifier::{Refusal, VerificationResult},
};
