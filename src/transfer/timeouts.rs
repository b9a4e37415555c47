//! Timeouts that several modules of the transfer share. A timeout that one module uses is defined in that module.

use std::time::Duration;

/// A leg that has been silent for this long while a download runs counts as dead. QUIC keep-alives leave every 3 s
/// ([`crate::net`]), so a live leg survives the loss of one of them.
pub(crate) const LEG_SILENCE_TIMEOUT: Duration = Duration::from_millis(5_500);

/// How long a peer or a relay may take to answer a request that needs no user and no other peer.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the sender and its relay may take to end a share.
pub(crate) const SHARE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often progress is reported at most.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
