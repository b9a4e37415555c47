//! The configuration of a relay: its limits, its access token and its persistent state.

use std::{sync::Arc, time::Duration};

use super::{limits::Limits, memory_budget::MemoryBudget, slot_journal::SlotJournal, tickets::TicketKey};
use crate::event::Event;

/// The configuration of a relay.
#[derive(Clone)]
pub struct RelayConfig {
    /// The most bytes that a bridge may hold in each direction, besides a small allowance for overhead, even if the
    /// memory budget allows more.
    pub max_bridge_bytes: u64,
    /// Bounds the memory of connections, streams and bridges together. Connections and streams above three quarters of
    /// it are refused. When everything together exceeds it, the bridges that have been blocked longest are reset.
    pub memory: MemoryBudget,
    /// Limits on the resources of clients, by source and in total.
    pub limits: Limits,
    /// Whether limits by source apply to clients on this machine, each loopback address for itself.
    pub limit_loopback: bool,
    /// Which senders get a slot.
    pub senders: SenderPolicy,
    /// Authenticates tickets and passes.
    pub ticket_key: TicketKey,
    /// Records issued slots for the next process; `None` if nothing outlives this one.
    pub journal: Option<SlotJournal>,
    /// Called with warnings for the operator. It must not block.
    pub on_warning: Option<OnWarning>,
    /// How long a shutdown waits until the open bridges have delivered their bytes.
    pub drain_timeout: Duration,
}

/// Shows a warning to the operator.
pub type OnWarning = Arc<dyn Fn(Event) + Send + Sync>;

/// Which senders may register a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderPolicy {
    /// Every sender.
    Anyone,
    /// Senders that show this access token.
    WithToken(Vec<u8>),
    /// Only the share in the relay's own process.
    InProcess,
}

impl Default for RelayConfig {
    fn default() -> Self {
        /// Bytes for the first sixteen full bridges. Most hold far less: only the credit of a slow receiver accumulates
        /// in the relay.
        const MEMORY: usize = 1024 * 1024 * 1024;
        Self {
            max_bridge_bytes: 64 * 1024 * 1024,
            memory: MemoryBudget::new(MEMORY),
            limits: Limits::default(),
            limit_loopback: false,
            senders: SenderPolicy::Anyone,
            ticket_key: TicketKey::random(),
            journal: None,
            on_warning: None,
            drain_timeout: Duration::ZERO,
        }
    }
}
