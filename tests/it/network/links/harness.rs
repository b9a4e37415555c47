//! Two hosts, a link from one to the other, and numbered packets on it.

use std::{
    future::poll_fn,
    io::{self, IoSliceMut},
    sync::Arc,
    time::Duration,
};

use quinn::{
    AsyncUdpSocket,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use tokio::time::{Instant, timeout};

use crate::vnet::{EmulatedLink, Host, IP_UDP_HEADERS, LinkConfig, Network, STEP, Tally, VirtualSocket};

/// The payload of a packet of [`PACKET`] bytes.
pub(super) const PAYLOAD: usize = 1222;

/// The size of a packet, headers included. Its transmission takes 1 ms at 10 Mbit/s.
pub(super) const PACKET: u64 = PAYLOAD as u64 + IP_UDP_HEADERS;

/// Two hosts, a link from one to the other, and numbered packets on it.
pub(super) struct Probe {
    pub(super) from: Host,
    pub(super) to: Host,
    pub(super) out: Arc<VirtualSocket>,
    pub(super) incoming: Arc<VirtualSocket>,
    pub(super) link: EmulatedLink,
    pub(super) began: Instant,
}

impl Probe {
    /// Connects two hosts by a link with this configuration.
    pub(super) fn new(network: &Network, config: &LinkConfig) -> Self {
        let path = network.path(config);
        let (from, to) = (network.host(), network.host());
        network.connect(&from, &to, &path);
        to.set_receive_buffer(u64::MAX);
        let (out, incoming) = (from.bind(0), to.bind(7));
        Self { from, to, out, incoming, link: path.forward[0].clone(), began: Instant::now() }
    }

    /// Sends packets with these numbers, all at once.
    pub(super) fn send(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            send(&self.out, &self.incoming, &packet(number, PAYLOAD)).unwrap();
        }
    }

    /// Receives until no packet has arrived for a second. Returns numbers and times since the beginning.
    pub(super) async fn arrivals(&self) -> Vec<(u32, Duration)> {
        let mut all = Vec::new();
        while let Ok((payload, _)) = timeout(Duration::from_secs(1), receive(&self.incoming)).await {
            let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
            all.push((number, self.began.elapsed()));
        }
        all
    }

    /// Receives as [`Probe::arrivals`], and returns the numbers only.
    pub(super) async fn numbers(&self) -> Vec<u32> {
        self.arrivals().await.into_iter().map(|(number, _)| number).collect()
    }
}

/// Returns a payload that begins with this number.
pub(super) fn packet(number: u32, length: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(length, 0);
    payload
}

/// Sends one packet.
pub(super) fn send(from: &VirtualSocket, to: &VirtualSocket, payload: &[u8]) -> io::Result<()> {
    transmit(from, to, payload, None, None)
}

/// Sends one packet, or several segments, with these ECN bits.
pub(super) fn transmit(
    from: &VirtualSocket,
    to: &VirtualSocket,
    contents: &[u8],
    segment_size: Option<usize>,
    ecn: Option<EcnCodepoint>,
) -> io::Result<()> {
    from.try_send(&Transmit { destination: to.addr(), ecn, contents, segment_size, src_ip: None })
}

/// Waits for one packet.
pub(super) async fn receive(socket: &VirtualSocket) -> (Vec<u8>, RecvMeta) {
    let mut buffer = vec![0; 10_000];
    let mut meta = [RecvMeta::default()];
    poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)).await.unwrap();
    buffer.truncate(meta[0].len);
    (buffer, meta[0])
}

/// Returns the tally of this many packets of [`PACKET`] bytes.
pub(super) fn tally(packets: u64) -> Tally {
    Tally { packets, bytes: packets * PACKET }
}

/// Returns whether a packet that was due at `due` arrived then, or at the latest at the end of that step.
pub(super) fn is_on_time(arrived: Duration, due: Duration) -> bool {
    arrived >= due && arrived < due + STEP
}
