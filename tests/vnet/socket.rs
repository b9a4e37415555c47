//! A socket that quinn uses in place of a UDP socket.
//!
//! Sending blocks only while the host is paused: the bottleneck is a link, whose queue drops packets. A kernel would
//! block a sender only if the host's own network interface were the bottleneck.

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

use super::{link_config::IP_UDP_HEADERS, network::SharedNetwork, tally::Tally};

/// The number of datagrams per send. It is quinn's maximum; the kernel's segmentation offload takes more.
const SEGMENTS: usize = 10;

/// A datagram on the network.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) payload: Bytes,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    /// The links of its route, and the number of them that it has passed.
    pub(super) route: Arc<[usize]>,
    pub(super) hops: usize,
}

impl Packet {
    /// Returns its size on a link.
    pub(super) fn size(&self) -> u64 {
        self.payload.len() as u64 + IP_UDP_HEADERS
    }
}

/// The packets that have arrived at a socket and wait to be read.
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

/// A socket of a host. It closes when dropped.
#[derive(Debug)]
pub(crate) struct VirtualSocket {
    network: Arc<SharedNetwork>,
    addr: SocketAddr,
    /// Cleared by [`super::Host::kill`].
    alive: Arc<AtomicBool>,
}

impl VirtualSocket {
    pub(super) fn new(network: Arc<SharedNetwork>, addr: SocketAddr, alive: Arc<AtomicBool>) -> Self {
        Self { network, addr, alive }
    }

    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Returns the address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for VirtualSocket {
    fn drop(&mut self) {
        if self.is_alive() {
            self.network.access(|state, _| state.host(self.addr.ip()).close(self.addr.port()));
        }
    }
}

impl AsyncUdpSocket for VirtualSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let whole = Bytes::copy_from_slice(transmit.contents);
        let segment = transmit.segment_size.unwrap_or(whole.len()).max(1);
        self.network.access(|state, now| {
            if !self.is_alive() {
                return Ok(());
            }
            if state.host(self.addr.ip()).paused {
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
                    hops: 0,
                };
                match route {
                    Some(_) => state.forward(packet, now),
                    None => state.undeliverable.add(packet.size()),
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
        self.network.access(|state, _| {
            let host = state.host(self.addr.ip());
            let paused = host.paused;
            let inbox = host.inboxes.get_mut(&self.addr.port()).expect("a live socket has an inbox");
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

/// Waits until the pause of a socket's host ends.
#[derive(Debug)]
struct Writable(Arc<VirtualSocket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.network.access(|state, _| {
            let host = state.host(self.0.addr.ip());
            if !host.paused {
                return Poll::Ready(Ok(()));
            }
            if !host.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
                host.writers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}
