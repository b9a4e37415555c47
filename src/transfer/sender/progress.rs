//! What a sender has sent of one download, and what of it has arrived.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::transfer::sender::download_limit::DownloadPermit;
use crate::transfer::timeouts::PROGRESS_INTERVAL;

/// What was sent and what of it has arrived.
#[derive(Default)]
pub(crate) struct SendProgress {
    /// Offset behind the last record.
    pub(crate) sealed: u64,
    /// Records on their way: the offset behind each, and the content sent up to it.
    on_the_way: VecDeque<(u64, u64)>,
    /// Bytes of content sent.
    pub(crate) sent: u64,
    /// Bytes of content acknowledged.
    pub(crate) acknowledged: u64,
    /// How much of what the receiver says was acknowledged to it.
    pub(crate) told: u64,
    reported: Option<Instant>,
    pub(crate) begun: Option<AcceptedDownload>,
}

/// A download that was accepted.
pub(crate) struct AcceptedDownload {
    pub(crate) at: Instant,
    pub(crate) total: Option<u64>,
    pub(crate) place: DownloadPermit,
}

impl SendProgress {
    /// Notes a record with so many bytes of content, up to an offset.
    pub(crate) fn note(&mut self, end: u64, content: u64) {
        self.sealed = end;
        self.sent += content;
        self.on_the_way.push_back((end, self.sent));
    }

    /// Takes an acknowledgement; `true` when it is time to report.
    pub(crate) fn acknowledge(&mut self, received: u64) -> bool {
        while let Some((end, content)) = self.on_the_way.front()
            && *end <= received
        {
            self.acknowledged = *content;
            self.on_the_way.pop_front();
        }
        let due = self.reported.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if due {
            self.reported = Some(Instant::now());
        }
        due
    }
}
