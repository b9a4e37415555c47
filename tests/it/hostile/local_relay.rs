//! An honest relay in the process of the test.

use std::net::{Ipv4Addr, SocketAddr};

use qshare::internals::{
    error::Error,
    net::{self, RelayIdentity, TransportOptions, TrustPolicy},
    relay::{self, RelayConfig},
    state::StateDir,
};
use tempfile::TempDir;

/// A running relay. It ends with its test.
pub(crate) struct LocalRelay {
    addr: SocketAddr,
    _home: TempDir,
}

impl LocalRelay {
    pub(crate) fn start(config: RelayConfig) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let identity = RelayIdentity::load_or_create(&StateDir::open(home.path()).unwrap()).unwrap();
        let endpoint = net::listen((Ipv4Addr::LOCALHOST, 0).into(), &identity, TransportOptions::default()).unwrap();
        let addr = endpoint.local_addr().unwrap();
        tokio::spawn(relay::serve(endpoint, None, config, std::future::pending()));
        Self { addr, _home: home }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connects from this address.
    pub(crate) async fn connect_from(&self, ip: Ipv4Addr) -> Result<net::RelayConnection, Error> {
        let socket = net::Socket::bind((ip, 0).into()).unwrap();
        net::connect_over(socket, &[self.addr.into()], TrustPolicy::Loopback, TransportOptions::default()).await
    }

    pub(crate) async fn connect(&self) -> net::RelayConnection {
        net::connect(&[self.addr.into()], TrustPolicy::Loopback, TransportOptions::default()).await.unwrap()
    }
}
