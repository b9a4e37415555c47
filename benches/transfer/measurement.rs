//! The figures of one run of a case.

use crate::support::process::ResourceUsage;

/// The figures of one run of a case.
#[derive(Debug, Clone, Default)]
pub(super) struct Measurement {
    /// Bytes of content that arrived in each repetition, at all receivers together.
    pub(super) bytes: u64,
    /// For each repetition, the seconds from the start of the receivers' processes to the last `finished` event.
    pub(super) seconds: Vec<f64>,
    /// Jain's fairness index of the receivers' rates, if there are several receivers at once.
    pub(super) fairness: Option<f64>,
    pub(super) sender: ResourceUsage,
    pub(super) relay: ResourceUsage,
    pub(super) receivers: ResourceUsage,
}
