//! A line between processes that a test can cut, mend, and lead another way.

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

/// No datagram is longer.
const LONGEST: usize = 65_535;

/// Whoever waits for a datagram looks up this often, to see whether it is all over.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Forwards datagrams to one address, and what comes back to whom it is for. Gone when dropped.
pub(crate) struct UdpProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    near: UdpSocket,
    far: SocketAddr,
    /// What the far end sees of each of the near ones.
    upstream: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
    is_cut: AtomicBool,
    is_over: AtomicBool,
}

impl UdpProxy {
    /// A line to this address.
    pub(crate) fn to(far: SocketAddr) -> Self {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        near.set_read_timeout(Some(LOOK_UP)).unwrap();
        let addr = near.local_addr().unwrap();
        let (is_cut, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { near, far, upstream: Mutex::default(), is_cut, is_over });
        let forwarding = Arc::clone(&shared);
        thread::spawn(move || forwarding.forward());
        Self { addr, shared }
    }

    /// Where it begins.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nothing passes any more.
    pub(crate) fn block(&self) {
        self.shared.is_cut.store(true, Ordering::Relaxed);
    }

    /// What was cut is whole again.
    pub(crate) fn unblock(&self) {
        self.shared.is_cut.store(false, Ordering::Relaxed);
    }

    /// From here on everybody has another address, as behind a NAT that has forgotten them or in another network. What is
    /// on its way to the old one is lost.
    pub(crate) fn rebind(&self) {
        self.shared.upstream.lock().unwrap().clear();
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn forward(self: Arc<Self>) {
        let mut buffer = vec![0; LONGEST];
        while let Some((length, from)) = self.next(&self.near, &mut buffer) {
            let upstream = self.upstream_of(from);
            let _ = upstream.send(&buffer[..length]); // where nobody is, a datagram is lost
        }
    }

    /// The next datagram that gets through; `None` when it is all over.
    fn next(&self, socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        while !self.is_over.load(Ordering::Relaxed) {
            match socket.recv_from(buffer) {
                Ok(_) if self.is_cut.load(Ordering::Relaxed) => {}
                Ok(received) => return Some(received),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {} // nobody is there now
                Err(e) => panic!("the line: {e}"),
            }
        }
        None
    }

    fn upstream_of(self: &Arc<Self>, near: SocketAddr) -> Arc<UdpSocket> {
        let mut all = self.upstream.lock().unwrap();
        let socket = all.entry(near).or_insert_with(|| {
            let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
            socket.connect(self.far).unwrap();
            socket.set_read_timeout(Some(LOOK_UP)).unwrap();
            let (shared, back) = (Arc::clone(self), Arc::clone(&socket));
            thread::spawn(move || {
                let mut buffer = vec![0; LONGEST];
                while let Some((length, _)) = shared.next(&back, &mut buffer) {
                    let _ = shared.near.send_to(&buffer[..length], near);
                }
            });
            socket
        });
        Arc::clone(socket)
    }
}
