//! A cell of the grid: a path, its loss, and what each congestion controller achieves on it.

use qshare::internals::net::CongestionControl;

/// The loss of each of the two legs.
#[derive(Debug, Clone, Copy)]
pub(super) struct LossPattern {
    pub(super) name: &'static str,
    /// The fraction of packets that is lost.
    pub(super) fraction: f64,
    /// The mean length of a burst in packets; `None` if packets are lost independently.
    pub(super) burst: Option<f64>,
}

pub(super) const LOSSES: [LossPattern; 8] = [
    LossPattern { name: "0", fraction: 0.0, burst: None },
    LossPattern { name: "0.1 %", fraction: 0.001, burst: None },
    LossPattern { name: "1 %", fraction: 0.01, burst: None },
    LossPattern { name: "2 %", fraction: 0.02, burst: None },
    LossPattern { name: "5 %", fraction: 0.05, burst: None },
    LossPattern { name: "10 %", fraction: 0.1, burst: None },
    LossPattern { name: "1 % by 4", fraction: 0.01, burst: Some(4.0) },
    LossPattern { name: "3 % by 12", fraction: 0.03, burst: Some(12.0) },
];

pub(super) const CONTROLLERS: [(&str, CongestionControl); 3] =
    [("qshare", CongestionControl::Auto), ("CUBIC", CongestionControl::Cubic), ("BBR", CongestionControl::Bbr)];

/// The result of one transfer. Goodput is relative to the highest goodput that the path allows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TransferResult {
    /// The goodput between the middle of the content and its last tenth.
    pub(super) steady_goodput: f64,
    /// The goodput from the receiver's acceptance to the end.
    pub(super) goodput: f64,
    /// Bytes sent for each byte that the path had to carry.
    pub(super) sent_per_byte: f64,
    /// The mean round-trip time of a leg, divided by its minimum.
    pub(super) relative_rtt: f64,
}

/// A path, its loss, and the results of [`CONTROLLERS`] on it; `None` for a transfer that did not complete in time.
pub(super) struct GridCell {
    pub(super) rate: u64,
    pub(super) round_trip: u64,
    pub(super) loss: LossPattern,
    pub(super) results: Vec<Option<TransferResult>>,
}
