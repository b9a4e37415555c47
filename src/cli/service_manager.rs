//! The service manager that has started this process, if there is one.

/// Tells systemd that this process is ready (sd_notify(3)), if its unit has `Type=notify`. Without that message,
/// systemd stops the process after a time limit, so a failure is only logged here.
#[cfg(target_os = "linux")]
pub(super) fn notify_ready() {
    use std::{
        env, io,
        os::{
            linux::net::SocketAddrExt as _,
            unix::{
                ffi::OsStrExt as _,
                net::{SocketAddr, UnixDatagram},
            },
        },
    };

    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    let notify = || -> io::Result<usize> {
        let addr = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&socket)?,
        };
        UnixDatagram::unbound()?.send_to_addr(b"READY=1", &addr)
    };
    if let Err(e) = notify() {
        tracing::warn!("cannot tell the service manager that the relay is ready: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn notify_ready() {}
