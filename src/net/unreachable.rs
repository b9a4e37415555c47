//! What the system knows of an address at which nothing can answer.
//!
//! QUIC waits for its timeout, because a socket that is not connected does not learn of ICMP errors. A connected socket
//! does (`udp(7)`).

use std::{
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use crate::text::system_message;

/// The interval of the probes. One of them, or its answer, may be lost.
const INTERVAL: Duration = Duration::from_secs(2);

/// A datagram that is no QUIC packet, so that no relay answers it.
const PROBE: [u8; 1] = [0];

/// Completes with the reason when the system reports that nothing can answer at `addr`: no route, a local firewall, or
/// a closed port. Otherwise never completes.
pub(super) async fn unreachable(addr: SocketAddr) -> String {
    match probe(addr).await {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => "nothing listens on its port".to_owned(),
        Err(e) => system_message(&e),
        Ok(()) => pending().await,
    }
}

/// Returns whether something may listen on a port of this machine. The answer takes a few microseconds: loopback
/// reports a closed port while the datagram is sent. A system that reports it later counts the port as open.
pub fn may_listen(addr: SocketAddr) -> bool {
    let refused = |socket: std::net::UdpSocket| {
        socket.connect(addr)?;
        socket.set_nonblocking(true)?;
        socket.send(&PROBE)?;
        socket.recv(&mut [0])
    };
    let any = SocketAddr::new(if addr.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }, 0);
    let probed = std::net::UdpSocket::bind(any).and_then(refused);
    !probed.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Sends probes until one fails. Returns without an error if something answers.
async fn probe(addr: SocketAddr) -> io::Result<()> {
    let any: IpAddr = if addr.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let Ok(socket) = UdpSocket::bind((any, 0)).await else { return Ok(()) };
    socket.connect(addr).await?;
    loop {
        socket.send(&PROBE).await?;
        if let Ok(answer) = timeout(INTERVAL, socket.recv(&mut [0])).await {
            return answer.map(drop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_reported_and_an_open_one_is_not() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = socket.local_addr().unwrap();
        assert!(timeout(Duration::from_millis(50), unreachable(addr)).await.is_err());
        assert!(may_listen(addr));
        drop(socket);
        assert!(!may_listen(addr));
        assert_eq!(unreachable(addr).await, "nothing listens on its port");
    }
}
