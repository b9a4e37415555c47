//! A socket that passes its datagrams through a filter.

use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// Decides how datagrams are sent.
pub(super) trait DatagramFilter: Send + Sync + 'static {
    /// Sends `transmit` through `socket`, whole, in part, not at all or twice.
    ///
    /// # Errors
    /// Those of `socket`.
    fn send(&self, socket: &dyn AsyncUdpSocket, transmit: &Transmit<'_>) -> io::Result<()>;

    /// Notes the datagrams in `bufs`, which have arrived.
    fn note_received(&self, _bufs: &[IoSliceMut<'_>], _meta: &[RecvMeta]) {}
}

/// A socket with a filter.
pub(super) struct FilteredSocket<F> {
    inner: Arc<dyn AsyncUdpSocket>,
    filter: F,
}

impl<F> FilteredSocket<F> {
    /// Passes the datagrams of `inner` through `filter`.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, filter: F) -> Self {
        Self { inner, filter }
    }
}

impl<F> fmt::Debug for FilteredSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilteredSocket").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F: DatagramFilter> AsyncUdpSocket for FilteredSocket<F> {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.filter.send(&*self.inner, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = ready!(self.inner.poll_recv(cx, bufs, meta))?;
        self.filter.note_received(&bufs[..received], &meta[..received]);
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
