//! Timeouts and intervals that several modules of the transfer share. One that a single module uses is defined there.

use std::time::Duration;

/// A leg that has been silent for this long while a download runs counts as lost. QUIC keep-alives leave every 3 s
/// ([`crate::net`]), so a live leg survives the loss of one of them.
pub(crate) const LEG_SILENCE_TIMEOUT: Duration = Duration::from_millis(5_500);

/// How long a peer or a relay may take to answer a request that needs no user and no other peer.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the relay may take to confirm the end of a share, and the streams of the share to end.
pub(crate) const SHARE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which a command that has not connected yet waits when a limit of the relay refuses it. After that, it
/// reports the limit to the user.
pub(crate) const LIMIT_PATIENCE: Duration = Duration::from_secs(30);

/// The shortest time between two reports of progress.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
