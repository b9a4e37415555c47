//! A link emulator between UDP sockets of this machine.

use std::{
    future::poll_fn,
    io::IoSliceMut,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use quinn::{
    AsyncUdpSocket,
    udp::{RecvMeta, Transmit},
};
use tokio::{net::UdpSocket, sync::watch};

use crate::{
    support::Result,
    vnet::{LinkConfig, Network, VirtualSocket},
};

/// Forwards packets between one client and a server through an emulated path.
///
/// ```text
/// client ── client_side ══ near ── emulated path ── far ══ server_side ── server
/// ```
pub(super) struct UdpEmulator {
    client_side: UdpSocket,
    near: Arc<VirtualSocket>,
    far: Arc<VirtualSocket>,
    server_side: UdpSocket,
    addr: SocketAddr,
}

impl UdpEmulator {
    /// Binds the sockets. Packets flow while [`UdpEmulator::run`] runs.
    pub(super) async fn bind(network: &Network, link: &LinkConfig, server: SocketAddr) -> Result<Self> {
        let (near, far) = (network.host(), network.host());
        network.connect(&near, &far, &network.path(link));
        let client_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        server_side.connect(server).await?;
        let addr = client_side.local_addr()?;
        Ok(Self { client_side, near: near.bind(1), far: far.bind(1), server_side, addr })
    }

    /// Returns the address to which the client sends.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Forwards packets in both directions. Never completes.
    pub(super) async fn run(&self) {
        // The source of the latest packet from the client.
        let client = watch::Sender::new(None);
        tokio::join!(
            receive(&self.client_side, &self.near, self.far.addr(), |source| {
                client.send_replace(Some(source));
            }),
            receive(&self.server_side, &self.far, self.near.addr(), |_| ()),
            deliver(&self.far, async |packet: &[u8]| drop(self.server_side.send(packet).await)),
            deliver(&self.near, async |packet: &[u8]| {
                let client = *client.borrow();
                if let Some(client) = client {
                    let _ = self.client_side.send_to(packet, client).await; // an error is a lost packet
                }
            }),
        );
    }
}

/// Sends the packets that arrive at a UDP socket into the emulated path, and reports their source.
async fn receive(from: &UdpSocket, to: &VirtualSocket, destination: SocketAddr, on_source: impl Fn(SocketAddr)) {
    let mut packet = vec![0; 65_536];
    loop {
        let Ok((length, source)) = from.recv_from(&mut packet).await else { continue };
        on_source(source);
        let contents = &packet[..length];
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        let _ = to.try_send(&transmit); // an error is a lost packet
    }
}

/// Passes the packets that leave the emulated path to `send`.
async fn deliver(from: &VirtualSocket, send: impl AsyncFn(&[u8])) {
    let mut packet = vec![0; 65_536];
    loop {
        let mut meta = [RecvMeta::default()];
        let received = poll_fn(|cx| from.poll_recv(cx, &mut [IoSliceMut::new(&mut packet)], &mut meta)).await;
        if received.is_ok() {
            send(&packet[..meta[0].len]).await;
        }
    }
}
