//! Ctrl-C and SIGTERM, which mean the same.

use tokio::sync::Notify;

/// Told by the second one.
static AGAIN: Notify = Notify::const_new();

/// Completes when somebody does not want to wait until a command that was told to end has done so.
pub(super) async fn impatience() {
    AGAIN.notified().await;
}

/// Completes at the first of them from this call on: a command calls it before it says that it is ready, so that none
/// that follows is missed. The next one is [`impatience`].
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
            tokio::spawn(async move {
                tokio::select! {
                    _ = ctrl_c.recv() => {}
                    _ = terminate.recv() => {}
                }
                AGAIN.notify_one();
            });
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
