//! Ctrl-C and SIGTERM, which mean the same.

/// Completes at the first of them from this call on: a command calls it before it says that it is ready, so that none
/// that follows is missed. A second signal has no handler to wait for.
pub(super) fn interrupt() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let (ctrl_c, terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    };
    async move {
        #[cfg(unix)]
        if let (Ok(mut ctrl_c), Ok(mut terminate)) = (ctrl_c, terminate) {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
