//! Relays with a memory budget, and links whose queues never overflow.

use std::time::Duration;

use qshare::internals::{
    error::Kind,
    event::Event,
    relay::{MemoryBudget, RelayConfig},
};

use super::super::units::MIB;
use crate::vnet::{LinkConfig, Network, RelayKind, Scenario, ShareTask};

/// The round-trip time of the sender's leg.
pub(super) const FIRST_LEG: Duration = Duration::from_millis(10);

/// Returns the most bytes that one direction of a bridge may hold.
pub(super) const fn max_direction_bytes(bridge_bytes: u64) -> usize {
    (bridge_bytes + bridge_bytes / 8 + MIB) as usize
}

/// Returns a link whose queue never overflows, so that only the program bounds the bytes in it.
pub(super) fn unbounded_queue(rate: u64, round_trip: Duration) -> LinkConfig {
    LinkConfig::new(rate, round_trip).queue(u64::MAX)
}

/// Starts a relay with this memory budget.
pub(super) fn relay_with_budget(network: &Network, bridge_bytes: u64, budget: u64) -> (Scenario, MemoryBudget) {
    relay_of_kind_with_budget(network, RelayKind::Separate, bridge_bytes, budget)
}

/// Starts a relay of this kind with this memory budget.
pub(super) fn relay_of_kind_with_budget(
    network: &Network,
    kind: RelayKind,
    bridge_bytes: u64,
    budget: u64,
) -> (Scenario, MemoryBudget) {
    let memory = MemoryBudget::new(budget as usize);
    let config = RelayConfig { max_bridge_bytes: bridge_bytes, memory: memory.clone(), ..RelayConfig::default() };
    (Scenario::with_kind(network, kind, config), memory)
}

/// Returns the sender's failed downloads in the order in which they failed: number, kind and message.
pub(super) fn failures(share: &ShareTask) -> Vec<(u64, Kind, String)> {
    let failed = |event| match event {
        Event::DownloadFailed { download, kind, error } => Some((download.number, kind, error)),
        _ => None,
    };
    share.events().into_iter().filter_map(failed).collect()
}
