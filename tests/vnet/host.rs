//! A machine on the network.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use super::{
    network::Inner,
    pipe::Tally,
    socket::{Inbox, Socket},
};

/// The first port that is given out where none is asked for (RFC 6335 section 6).
const FIRST_FREE: u16 = 49_152;

/// What a socket holds until it is read: what the program asks the kernel for.
const RECEIVE_BUFFER: u64 = 4 * 1024 * 1024;

/// A handle to a machine on the network.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(super) network: Arc<Inner>,
    pub(super) ip: IpAddr,
}

/// A machine itself.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) paused: bool,
    pub(super) inboxes: HashMap<u16, Inbox>,
    /// Who waits until it is no longer paused.
    pub(super) writers: Vec<Waker>,
    receive_buffer: u64,
    next_port: u16,
    overflowed: Tally,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            paused: false,
            inboxes: HashMap::new(),
            writers: Vec::new(),
            receive_buffer: RECEIVE_BUFFER,
            next_port: FIRST_FREE,
            overflowed: Tally::default(),
        }
    }
}

impl Host {
    /// Its address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Opens a socket; 0 takes a port that is free. Closed when dropped.
    ///
    /// # Panics
    /// Where the port is taken.
    pub(crate) fn bind(&self, port: u16) -> Arc<Socket> {
        let (port, alive) = self.network.now(|state, _| {
            let machine = state.machine(self.ip);
            let port = if port == 0 { machine.free_port() } else { port };
            let inbox = Inbox::new(machine.receive_buffer);
            let alive = Arc::clone(&inbox.alive);
            assert!(machine.inboxes.insert(port, inbox).is_none(), "{}:{port} is taken", self.ip);
            (port, alive)
        });
        Arc::new(Socket::new(Arc::clone(&self.network), SocketAddr::new(self.ip, port), alive))
    }

    /// The process behind this port is killed: nothing more goes out or in there, whatever still runs, and the port is free.
    pub(crate) fn kill(&self, port: u16) {
        self.network.now(|state, _| {
            let machine = state.machine(self.ip);
            if let Some(inbox) = machine.inboxes.get(&port) {
                inbox.alive.store(false, Ordering::Relaxed);
            }
            machine.close(port);
        });
    }

    /// Bytes of payload that each of the sockets opened from now on holds until it is read; more is dropped.
    pub(crate) fn set_receive_buffer(&self, bytes: u64) {
        self.network.now(|state, _| state.machine(self.ip).receive_buffer = bytes);
    }

    /// What its sockets dropped because nobody read them in time.
    pub(crate) fn overflowed(&self) -> Tally {
        self.network.now(|state, _| {
            let machine = state.machine(self.ip);
            let mut all = machine.overflowed;
            for inbox in machine.inboxes.values() {
                all.packets += inbox.overflowed.packets;
                all.bytes += inbox.overflowed.bytes;
            }
            all
        })
    }

    /// Stands still, as with SIGSTOP: nothing is sent, nothing is taken, and what arrives stays in the sockets as long
    /// as there is room. Timers of whatever runs there go on, though: a process that was stopped sees all of them at
    /// once when it goes on.
    pub(crate) fn pause(&self) {
        self.network.now(|state, _| state.machine(self.ip).paused = true);
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.network.now(|state, _| {
            let machine = state.machine(self.ip);
            machine.paused = false;
            let mut woken: Vec<_> = machine.inboxes.values_mut().filter_map(|inbox| inbox.reader.take()).collect();
            woken.append(&mut machine.writers);
            state.wake.append(&mut woken);
        });
    }
}

impl Machine {
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
