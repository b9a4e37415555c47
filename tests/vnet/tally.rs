//! Counters of packets and bytes.

/// A number of packets and their bytes, IP and UDP headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The number of packets.
    pub(crate) packets: u64,
    /// Their bytes, headers included.
    pub(crate) bytes: u64,
}

impl Tally {
    /// Counts a packet of `size` bytes.
    pub(super) fn add(&mut self, size: u64) {
        self.packets += 1;
        self.bytes += size;
    }
}

/// The counters of a link. Each offered packet is delivered, dropped for exactly one reason, or still on the link. A
/// duplicated packet is delivered twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkCounters {
    /// Packets that entered the link.
    pub(crate) offered: Tally,
    /// Packets that left it at the far end.
    pub(crate) delivered: Tally,
    /// Packets dropped by the loss model.
    pub(crate) lost: Tally,
    /// Packets dropped because the queue was full.
    pub(crate) overflowed: Tally,
    /// Packets dropped by the policer.
    pub(crate) policed: Tally,
    /// Packets dropped because they exceed the MTU.
    pub(crate) too_long: Tally,
    /// Packets dropped because the link was cut.
    pub(crate) cut: Tally,
    /// Packets delivered a second time.
    pub(crate) duplicated: Tally,
    /// The longest queue so far in bytes, the packet in transmission included.
    pub(crate) longest_queue: u64,
}

impl LinkCounters {
    /// All dropped packets.
    pub(crate) fn dropped(&self) -> Tally {
        let all = [self.lost, self.overflowed, self.policed, self.too_long, self.cut];
        Tally { packets: all.iter().map(|t| t.packets).sum(), bytes: all.iter().map(|t| t.bytes).sum() }
    }
}
