//! Ctrl-C and SIGTERM, which have the same effect.

use std::{
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, oneshot};

/// Whether a signal has arrived.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Notified by the second signal.
static SECOND_SIGNAL: Notify = Notify::const_new();

/// Completes at the second signal, which ends the command without a clean shutdown.
pub(super) async fn second_interrupt() {
    SECOND_SIGNAL.notified().await;
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) fail instead of ending this process (SIGXFSZ).
pub(super) fn ignore_file_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())); // replaces the default action
    }
}

/// Keeps this process running when its terminal closes (SIGHUP).
pub(super) fn ignore_hangup() {
    #[cfg(unix)]
    let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()); // replaces the default action
}

/// Completes at the first signal of this process, at once if it has arrived already.
pub(super) async fn interrupted() {
    if !was_interrupted() {
        interrupt().await;
    }
}

/// Whether a signal has arrived.
pub(super) fn was_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Acquire)
}

/// Completes at the first signal after this call, even if the future is polled later. A command calls it before it
/// reports that it is ready, so that no later signal is missed. The signal after that completes [`second_interrupt`],
/// even if the future is not polled at all.
pub(super) fn interrupt() -> impl Future<Output = ()> {
    let (first, arrived) = oneshot::channel();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The handlers exist when this function returns.
        if let (Ok(mut ctrl_c), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        {
            let mut next = async move || {
                tokio::select! {
                    _ = ctrl_c.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            tokio::spawn(async move {
                next().await;
                INTERRUPTED.store(true, Ordering::Release);
                let _ = first.send(()); // nobody waits if the command has ended
                next().await;
                SECOND_SIGNAL.notify_one();
            });
        }
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            INTERRUPTED.store(true, Ordering::Release);
            let _ = first.send(()); // as above
        }
    });
    async move {
        if arrived.await.is_err() {
            pending::<()>().await; // no signal can be received
        }
    }
}
