//! The identity of a relay: its certificate, its private key, and a secret that survives restarts.

use std::{fmt, path::Path};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tracing::warn;
use zeroize::Zeroizing;

use super::{crypto_provider::crypto_provider, pin::pin_of};
use crate::{
    code::Pin,
    error::{Error, Kind, Result},
    processor::Aes,
    state::{StateDir, read_file},
    wire::relay::ALPN,
};

const CERTIFICATE: &str = "relay.crt";
const KEY: &str = "relay.key";
const SECRET: &str = "relay.secret";

/// The size limit of each PEM file in bytes.
const MAX_PEM: u64 = 256 * 1024;

/// A relay's certificate chain and private key, and a secret that survives restarts.
pub struct RelayIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
    secret: Zeroizing<[u8; 32]>,
}

impl RelayIdentity {
    /// Reads `relay.crt`, `relay.key` and `relay.secret` from `dir`.
    ///
    /// Creates a self-signed certificate if both PEM files are missing; the key file gets mode 0600. Creates the secret
    /// if it is missing; if it cannot be stored, it lasts until the process ends.
    ///
    /// # Errors
    /// [`Kind::Disk`] if only one of the PEM files exists, or a file cannot be read, written or parsed.
    pub fn load_or_create(dir: &StateDir) -> Result<Self> {
        let (certificate_path, key_path) = (dir.path(CERTIFICATE), dir.path(KEY));
        let (chain, key) = match (dir.read(CERTIFICATE, MAX_PEM)?, dir.read(KEY, MAX_PEM)?) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) => {
                let (certificate, key) = create_certificate()?;
                dir.write(KEY, &key)?;
                dir.write(CERTIFICATE, &certificate)?;
                (certificate, key)
            }
            (None, Some(_)) => return Err(invalid(&certificate_path, "is missing, but its key exists")),
            (Some(_), None) => return Err(invalid(&key_path, "is missing, but its certificate exists")),
        };
        let (chain, pin) = parse_chain(&chain, &certificate_path)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|_| invalid(&key_path, "is not a PEM file of a private key"))?;
        Ok(Self { chain, key, pin, secret: load_or_create_secret(dir)? })
    }

    /// Reads the pin of the certificate in `folder`, which may belong to another user; `None` if there is no
    /// certificate. Does not read the private key.
    ///
    /// # Errors
    /// [`Kind::Disk`] if the certificate cannot be read or parsed.
    pub fn stored_pin(folder: &Path) -> Result<Option<Pin>> {
        let path = folder.join(CERTIFICATE);
        let Some(chain) = read_file(&path, MAX_PEM)? else { return Ok(None) };
        Ok(Some(parse_chain(&chain, &path)?.1))
    }

    /// Returns the identity that is stored in `dir`; without a folder, one that lasts until the process ends.
    ///
    /// # Errors
    /// Those of [`RelayIdentity::load_or_create`] and [`RelayIdentity::temporary`].
    pub fn stored_in(dir: Option<&StateDir>) -> Result<Self> {
        dir.map_or_else(Self::temporary, Self::load_or_create)
    }

    /// Creates an identity that lasts until the process ends.
    ///
    /// # Errors
    /// [`Kind::Transfer`] if no certificate can be created.
    pub fn temporary() -> Result<Self> {
        let unusable = || Error::new(Kind::Transfer, "the new certificate is invalid");
        let (certificate, key) = create_certificate()?;
        let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|_| unusable())?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| unusable())?;
        let pin = pin_of(&certificate).map_err(|_| unusable())?;
        Ok(Self { chain: vec![certificate], key, pin, secret: Zeroizing::new(rand::random()) })
    }

    /// The pin of the certificate, which clients can verify.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Derives a key for one purpose from the secret.
    pub fn derive_key(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, &self.secret[..]))
    }

    /// Returns the server's configuration of TLS 1.3. The server follows the client's order of cipher suites unless AES
    /// is slow on this processor. So both ends use ChaCha20 if AES is slow at either.
    pub(in crate::net) fn server_config(&self, aes: Aes) -> Result<rustls::ServerConfig> {
        let mut config = rustls::ServerConfig::builder_with_provider(crypto_provider(aes))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| unusable_certificate(&e))?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| unusable_certificate(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.ignore_client_order = aes == Aes::InSoftware;
        Ok(config)
    }
}

impl fmt::Debug for RelayIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayIdentity").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// Parses the certificates in `pem`, the content of `path`. Returns them with the pin of the first one.
fn parse_chain(pem: &[u8], path: &Path) -> Result<(Vec<CertificateDer<'static>>, Pin)> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(path, "is not a PEM file"))?;
    let leaf = chain.first().ok_or_else(|| invalid(path, "contains no certificate"))?;
    let pin = pin_of(leaf).map_err(|_| invalid(path, "contains an invalid certificate"))?;
    Ok((chain, pin))
}

fn invalid(path: &Path, what: &str) -> Error {
    Error::new(Kind::Disk, format!("{} {what}", path.display()))
        .hint("provide both relay.crt and relay.key as PEM, or remove both; the relay then creates a new certificate")
}

/// Creates a self-signed certificate and its key, as PEM. Clients verify it by its pin, so its names mean nothing.
fn create_certificate() -> Result<(Vec<u8>, Vec<u8>)> {
    let failed = |e: rcgen::Error| Error::new(Kind::Transfer, format!("cannot create a certificate: {e}"));
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(vec!["qshare-relay".to_owned()]).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "qshare relay");
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem().into_bytes(), key.serialize_pem().into_bytes()))
}

fn load_or_create_secret(dir: &StateDir) -> Result<Zeroizing<[u8; 32]>> {
    if let Some(stored) = dir.read(SECRET, 32)? {
        let stored = Zeroizing::new(stored);
        return <[u8; 32]>::try_from(&stored[..]).map(Zeroizing::new).map_err(|_| {
            Error::new(Kind::Disk, format!("{} is damaged", dir.path(SECRET).display()))
                .hint("remove the file to create a new secret; senders then get new codes")
        });
    }
    let secret = Zeroizing::new(rand::random::<[u8; 32]>());
    if let Err(e) = dir.write(SECRET, &secret[..]) {
        warn!("cannot store the relay's secret, so senders get new codes after a restart: {e}");
    }
    Ok(secret)
}

fn unusable_certificate(e: &rustls::Error) -> Error {
    Error::new(Kind::Disk, format!("cannot use the relay's certificate: {e}"))
        .hint("remove relay.crt and relay.key; the relay then creates a new certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_identity_is_loaded_with_the_same_pin() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        let created = RelayIdentity::load_or_create(&dir).unwrap();
        let loaded = RelayIdentity::load_or_create(&dir).unwrap();
        assert_eq!(created.pin(), loaded.pin());
        assert_eq!(RelayIdentity::stored_pin(home.path()).unwrap(), Some(created.pin()));
        loaded.server_config(Aes::detect()).unwrap();
        assert!(!format!("{created:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_missing_or_invalid_certificate_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let dir = StateDir::open(home.path()).unwrap();
        RelayIdentity::load_or_create(&dir).unwrap();
        dir.remove(CERTIFICATE);
        assert_eq!(RelayIdentity::stored_pin(home.path()).unwrap(), None);
        assert_eq!(RelayIdentity::load_or_create(&dir).unwrap_err().kind(), Kind::Disk);
        dir.write(CERTIFICATE, b"nonsense").unwrap();
        assert_eq!(RelayIdentity::stored_pin(home.path()).unwrap_err().kind(), Kind::Disk);
        assert_eq!(RelayIdentity::load_or_create(&dir).unwrap_err().kind(), Kind::Disk);
    }
}
