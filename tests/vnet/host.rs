//! A host on the network.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use super::{
    network::SharedNetwork,
    socket::{Inbox, VirtualSocket},
    tally::Tally,
};

/// The first ephemeral port (RFC 6335 section 6).
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// Bytes of payload that a socket holds until they are read: what the program asks the kernel for.
const RECEIVE_BUFFER: u64 = 4 * 1024 * 1024;

/// A handle to a host.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(super) network: Arc<SharedNetwork>,
    pub(super) ip: IpAddr,
}

/// The state of a host.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) paused: bool,
    pub(super) inboxes: HashMap<u16, Inbox>,
    /// Tasks that wait for the end of the pause.
    pub(super) writers: Vec<Waker>,
    receive_buffer: u64,
    next_port: u16,
    overflowed: Tally,
}

impl Default for HostState {
    fn default() -> Self {
        Self {
            paused: false,
            inboxes: HashMap::new(),
            writers: Vec::new(),
            receive_buffer: RECEIVE_BUFFER,
            next_port: FIRST_EPHEMERAL_PORT,
            overflowed: Tally::default(),
        }
    }
}

impl Host {
    /// Returns the address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Opens a socket, which closes when dropped. Port 0 selects a free port.
    ///
    /// # Panics
    /// If the port is taken.
    pub(crate) fn bind(&self, port: u16) -> Arc<VirtualSocket> {
        let (port, alive) = self.network.access(|state, _| {
            let host = state.host(self.ip);
            let port = if port == 0 { host.free_port() } else { port };
            let inbox = Inbox::new(host.receive_buffer);
            let alive = Arc::clone(&inbox.alive);
            assert!(host.inboxes.insert(port, inbox).is_none(), "{}:{port} is taken", self.ip);
            (port, alive)
        });
        Arc::new(VirtualSocket::new(Arc::clone(&self.network), SocketAddr::new(self.ip, port), alive))
    }

    /// Creates a client of QUIC, without the program's own code, on a new socket.
    pub(crate) fn endpoint(&self) -> quinn::Endpoint {
        let config = quinn::EndpointConfig::default();
        let runtime = Arc::new(quinn::TokioRuntime);
        quinn::Endpoint::new_with_abstract_socket(config, None, self.bind(0), runtime).unwrap()
    }

    /// Kills the process behind this port: its socket sends and receives nothing more, although its tasks still run,
    /// and the port becomes free.
    pub(crate) fn kill(&self, port: u16) {
        self.network.access(|state, _| {
            let host = state.host(self.ip);
            if let Some(inbox) = host.inboxes.get(&port) {
                inbox.alive.store(false, Ordering::Relaxed);
            }
            host.close(port);
        });
    }

    /// Sets the bytes of payload that each socket opened from now on holds until they are read. More is dropped.
    pub(crate) fn set_receive_buffer(&self, bytes: u64) {
        self.network.access(|state, _| state.host(self.ip).receive_buffer = bytes);
    }

    /// Returns the packets that its sockets dropped because their receive buffers were full.
    pub(crate) fn overflowed(&self) -> Tally {
        self.network.access(|state, _| {
            let host = state.host(self.ip);
            let mut all = host.overflowed;
            for inbox in host.inboxes.values() {
                all.packets += inbox.overflowed.packets;
                all.bytes += inbox.overflowed.bytes;
            }
            all
        })
    }

    /// Stops the host as SIGSTOP stops a process: it sends and reads nothing, and packets wait in the receive buffers
    /// as long as there is room. Unlike with SIGSTOP, timers still fire; a stopped process sees all of them at once
    /// when it continues.
    pub(crate) fn pause(&self) {
        self.network.access(|state, _| state.host(self.ip).paused = true);
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.network.access(|state, _| {
            let host = state.host(self.ip);
            host.paused = false;
            let mut woken: Vec<_> = host.inboxes.values_mut().filter_map(|inbox| inbox.reader.take()).collect();
            woken.append(&mut host.writers);
            state.wake.append(&mut woken);
        });
    }
}

impl HostState {
    /// Closes the socket of this port.
    pub(super) fn close(&mut self, port: u16) {
        if let Some(inbox) = self.inboxes.remove(&port) {
            self.overflowed.packets += inbox.overflowed.packets;
            self.overflowed.bytes += inbox.overflowed.bytes;
        }
    }

    fn free_port(&mut self) -> u16 {
        while self.inboxes.contains_key(&self.next_port) {
            self.next_port += 1;
        }
        self.next_port += 1;
        self.next_port - 1
    }
}
