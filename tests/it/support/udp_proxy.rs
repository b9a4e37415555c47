//! A UDP proxy between processes, which a test can block and rebind.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// The longest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// How often a forwarding thread checks whether the proxy was dropped.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(50);

/// Forwards datagrams from any client to one server, and the replies to that client. It stops when dropped.
pub(crate) struct UdpProxy {
    addr: SocketAddr,
    shared: Arc<ProxyState>,
}

struct ProxyState {
    client_side: UdpSocket,
    server: SocketAddr,
    /// The socket that the server sees in place of each client.
    upstream: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
    is_blocked: AtomicBool,
    is_dropped: AtomicBool,
}

impl UdpProxy {
    /// Starts a proxy to this server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let client_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client_side.set_read_timeout(Some(SHUTDOWN_CHECK)).unwrap();
        let addr = client_side.local_addr().unwrap();
        let (is_blocked, is_dropped) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(ProxyState { client_side, server, upstream: Mutex::default(), is_blocked, is_dropped });
        let forwarding = Arc::clone(&shared);
        thread::spawn(move || forwarding.forward_to_server());
        Self { addr, shared }
    }

    /// Returns the address for clients.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Drops every datagram from now on.
    pub(crate) fn block(&self) {
        self.shared.is_blocked.store(true, Ordering::Relaxed);
    }

    /// Forwards datagrams again.
    pub(crate) fn unblock(&self) {
        self.shared.is_blocked.store(false, Ordering::Relaxed);
    }

    /// Gives every client another address at the server, as a NAT does that has forgotten its mappings. Datagrams to
    /// the old addresses are lost.
    pub(crate) fn rebind(&self) {
        self.shared.upstream.lock().unwrap().clear();
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.shared.is_dropped.store(true, Ordering::Relaxed);
    }
}

impl ProxyState {
    fn forward_to_server(self: Arc<Self>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while let Some((length, client)) = self.receive(&self.client_side, &mut buffer) {
            let upstream = self.upstream_of(client);
            let _ = upstream.send(&buffer[..length]); // without a server the datagram is lost
        }
    }

    /// Receives the next datagram that is not dropped; `None` once the proxy is dropped.
    fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        while !self.is_dropped.load(Ordering::Relaxed) {
            match socket.recv_from(buffer) {
                Ok(_) if self.is_blocked.load(Ordering::Relaxed) => {}
                Ok(received) => return Some(received),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {} // the server is not running
                Err(e) => panic!("the proxy cannot receive: {e}"),
            }
        }
        None
    }

    /// Returns the upstream socket of a client, and creates it with its forwarding thread if there is none.
    fn upstream_of(self: &Arc<Self>, client: SocketAddr) -> Arc<UdpSocket> {
        let mut all = self.upstream.lock().unwrap();
        let socket = all.entry(client).or_insert_with(|| {
            let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
            socket.connect(self.server).unwrap();
            socket.set_read_timeout(Some(SHUTDOWN_CHECK)).unwrap();
            let (shared, replies) = (Arc::clone(self), Arc::clone(&socket));
            thread::spawn(move || {
                let mut buffer = vec![0; MAX_DATAGRAM];
                while let Some((length, _)) = shared.receive(&replies, &mut buffer) {
                    let _ = shared.client_side.send_to(&buffer[..length], client); // the client may have exited
                }
            });
            socket
        });
        Arc::clone(socket)
    }
}
