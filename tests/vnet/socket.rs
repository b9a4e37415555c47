//! A socket that quinn takes for UDP.
//!
//! Sending never blocks, unless the host stands still: the bottleneck is a pipe, and its queue drops. A kernel would
//! hold a sender back only where the bottleneck is the machine's own link.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

use super::{line::HEADERS, network::Inner, pipe::Tally};

/// Datagrams that quinn may hand over at once, as many as it ever does: the kernel's segmentation offload takes more.
const SEGMENTS: usize = 10;

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) payload: Bytes,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    /// The pipes on its way, and how many of them it has behind it.
    pub(super) route: Arc<[usize]>,
    pub(super) passed: usize,
}

impl Packet {
    /// Its bytes on the line.
    pub(super) fn size(&self) -> u64 {
        self.payload.len() as u64 + HEADERS
    }
}

/// What has arrived at a socket and was not read.
pub(super) struct Inbox {
    packets: VecDeque<Packet>,
    held: u64,
    room: u64,
    pub(super) alive: Arc<AtomicBool>,
    pub(super) reader: Option<Waker>,
    pub(super) overflowed: Tally,
}

impl Inbox {
    pub(super) fn new(room: u64) -> Self {
        let alive = Arc::new(AtomicBool::new(true));
        Self { packets: VecDeque::new(), held: 0, room, alive, reader: None, overflowed: Tally::default() }
    }

    pub(super) fn push(&mut self, packet: Packet) {
        let length = packet.payload.len() as u64;
        if self.held + length > self.room {
            self.overflowed.add(packet.size());
        } else {
            self.held += length;
            self.packets.push_back(packet);
        }
    }

    fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.held -= packet.payload.len() as u64;
        Some(packet)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("packets", &self.packets.len()).finish_non_exhaustive()
    }
}

/// A socket of a host. Closed when dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    network: Arc<Inner>,
    addr: SocketAddr,
    /// That of its process was not killed: see [`super::Host::kill`].
    alive: Arc<AtomicBool>,
}

impl Socket {
    pub(super) fn new(network: Arc<Inner>, addr: SocketAddr, alive: Arc<AtomicBool>) -> Self {
        Self { network, addr, alive }
    }

    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Its address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_alive() {
            self.network.now(|state, _| state.machine(self.addr.ip()).close(self.addr.port()));
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let whole = Bytes::copy_from_slice(transmit.contents);
        let segment = transmit.segment_size.unwrap_or(whole.len()).max(1);
        self.network.now(|state, now| {
            if !self.is_alive() {
                return Ok(());
            }
            if state.machine(self.addr.ip()).paused {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let route = state.route(self.addr.ip(), transmit.destination.ip());
            for begin in (0..whole.len()).step_by(segment) {
                let packet = Packet {
                    payload: whole.slice(begin..whole.len().min(begin + segment)),
                    from: self.addr,
                    to: transmit.destination,
                    ecn: transmit.ecn,
                    route: route.clone().unwrap_or_default(),
                    passed: 0,
                };
                match route {
                    Some(_) => state.forward(packet, now),
                    None => state.strays.add(packet.size()),
                }
            }
            Ok(())
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if !self.is_alive() {
            return Poll::Pending;
        }
        self.network.now(|state, _| {
            let machine = state.machine(self.addr.ip());
            let paused = machine.paused;
            let inbox = machine.inboxes.get_mut(&self.addr.port()).expect("open while it lives");
            let mut count = 0;
            for (buf, meta) in bufs.iter_mut().zip(meta) {
                let Some(packet) = (if paused { None } else { inbox.pop() }) else { break };
                let len = packet.payload.len().min(buf.len());
                buf[..len].copy_from_slice(&packet.payload[..len]);
                *meta = RecvMeta { addr: packet.from, len, stride: len, ecn: packet.ecn, dst_ip: Some(self.addr.ip()) };
                count += 1;
            }
            if count == 0 {
                inbox.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(count))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Waits until a socket can send: until its host does not stand still.
#[derive(Debug)]
struct Writable(Arc<Socket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.network.now(|state, _| {
            let machine = state.machine(self.0.addr.ip());
            if !machine.paused {
                return Poll::Ready(Ok(()));
            }
            if !machine.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
                machine.writers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}
