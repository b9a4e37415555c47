//! The limits that a relay sets for its clients, by name.

use serde::{Deserialize, Serialize};

macro_rules! relay_limits {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// A limit of a relay. A source is an IPv4 address or an IPv6 /64. An IPv6 /48 as a whole may use eight times
        /// as much.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum RelayLimit {
            $(#[doc = concat!("The most ", $meaning, ".")] $variant,)*
        }

        impl RelayLimit {
            /// All limits, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name, which operators use to change the limit and users see when it is reached.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns what the limit counts.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

relay_limits! {
    Handshakes "handshakes" "new connections of one source in a minute",
    HandshakesTotal "handshakes-total" "new connections in a minute",
    Connections "connections" "open connections of one source",
    ConnectionsTotal "connections-total" "open connections",
    Streams "streams" "streams of one source that wait for a reply",
    StreamsTotal "streams-total" "streams that wait for a reply",
    RegistrationsPerConnection "registrations-per-connection" "registrations over one connection",
    Registrations "registrations" "registrations of one source in an hour",
    RegistrationsTotal "registrations-total" "registrations in an hour",
    SlotsPerConnection "slots-per-connection" "slots that one connection holds",
    Slots "slots" "slots that one source holds",
    SlotsTotal "slots-total" "slots that all senders hold",
    Misses "misses" "connects of one source to unknown codes in an hour",
    MissesTotal "misses-total" "connects to unknown codes in an hour",
    Connects "connects" "connects of one source in a minute",
    ConnectsTotal "connects-total" "connects in a minute",
    RestingSlots "resting-slots" "freed slots of one source that stay reserved for a week",
    Bridges "bridges" "open downloads of one source",
    BridgesTotal "bridges-total" "open downloads",
    StartingBridges "starting-bridges" "downloads of one source that are younger than 15 s",
    Unconfirmed "unconfirmed" "wrong codes of one source in an hour; one more bars it for an hour",
    SlotUnconfirmed "slot-unconfirmed" "wrong codes for one slot in an hour; one more slows down sources new to it",
}
