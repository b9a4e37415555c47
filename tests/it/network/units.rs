//! Units of time and size.

use std::time::Duration;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
