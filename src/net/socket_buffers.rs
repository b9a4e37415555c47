//! The kernel's buffers of a UDP socket.

use std::io;

use socket2::Socket;

/// The buffer size to request in each direction, in bytes. Linux's default of 208 KiB is too small for a fast path. 4
/// MiB hold a burst of 32 ms at 1 Gbit/s; on loopback they raised the rate from 3.6 to 4.6 Gbit/s.
const REQUESTED: usize = 4 * 1024 * 1024;

/// Requests large buffers for `socket`.
pub(super) fn enlarge(socket: &Socket) {
    request(|bytes| socket.set_recv_buffer_size(bytes));
    request(|bytes| socket.set_send_buffer_size(bytes));
}

/// Requests [`REQUESTED`] bytes, and half as much after each refusal. Linux grants as much as its limit allows; the
/// BSDs and macOS refuse a request above their limit and leave the default.
fn request(set_size: impl Fn(usize) -> io::Result<()>) {
    /// In bytes. The default sizes are at least about this large.
    const MIN: usize = 256 * 1024;
    let mut bytes = REQUESTED;
    while bytes >= MIN && set_size(bytes).is_err() {
        bytes /= 2;
    }
}

/// The buffers of a socket that got less than it requested. Such a socket drops packets when a burst arrives faster
/// than it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClampedBuffers {
    /// Bytes requested in each direction.
    pub wanted: usize,
    /// Bytes granted for arriving packets.
    pub receive: usize,
    /// Bytes granted for outgoing packets.
    pub send: usize,
}

impl ClampedBuffers {
    /// Reads the buffer sizes of `socket`. Returns `None` if they are as large as requested or cannot be read.
    pub(super) fn of(socket: &Socket) -> Option<Self> {
        /// Linux reports twice the granted size: half is for its bookkeeping (socket(7), `SO_RCVBUF`).
        const REPORTED_FACTOR: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };
        let (receive, send) = (socket.recv_buffer_size().ok()?, socket.send_buffer_size().ok()?);
        Self::compare(REQUESTED, receive / REPORTED_FACTOR, send / REPORTED_FACTOR)
    }

    fn compare(wanted: usize, receive: usize, send: usize) -> Option<Self> {
        (receive < wanted || send < wanted).then_some(Self { wanted, receive, send })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn only_a_buffer_smaller_than_requested_is_clamped() {
        let clamped = |receive, send| ClampedBuffers { wanted: 4096, receive, send };
        assert_eq!(ClampedBuffers::compare(4096, 4096, 4096), None);
        assert_eq!(ClampedBuffers::compare(4096, 8192, 9000), None);
        assert_eq!(ClampedBuffers::compare(4096, 4095, 4096), Some(clamped(4095, 4096)));
        assert_eq!(ClampedBuffers::compare(4096, 4096, 208), Some(clamped(4096, 208)));
    }

    #[test]
    fn a_socket_gets_what_the_system_limits_allow() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        enlarge(&socket);
        let limit = |name: &str| -> Option<usize> {
            fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok()
        };
        let (Some(receive), Some(send)) = (limit("rmem_max"), limit("wmem_max")) else { return };
        let (receive, send) = (receive.min(REQUESTED), send.min(REQUESTED));
        assert_eq!(ClampedBuffers::of(&socket), ClampedBuffers::compare(REQUESTED, receive, send));
    }
}
