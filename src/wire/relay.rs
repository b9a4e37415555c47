//! What a client and a relay say to each other.
//!
//! A client opens a stream and says either [`RegisterRequest`] (a sender; the stream then stays open for as long as it shares)
//! or [`ConnectRequest`] (a receiver; behind the reply the stream is a bridge to the sender). For each receiver the relay opens
//! a stream on the sender's connection and says [`IncomingDownload`]; from then on it forwards bytes, and a finish, reset or
//! stop of one side becomes the same of the other. Nothing here can hold a secret.

use serde::{Deserialize, Serialize};

use super::frame::Message;
use crate::code::Slot;

/// The longest body of a message between client and relay.
pub const MAX_BODY: u32 = 4096;

/// The name of the protocol in the TLS handshake (ALPN).
pub const ALPN: &[u8] = b"qshare/1";

/// A sender asks for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// An access token, where the relay asks for one.
    pub token: Option<Vec<u8>>,
    /// A ticket of an earlier registration, to take that slot back.
    pub ticket: Option<Vec<u8>>,
}

impl Message for RegisterRequest {
    const TYPE: u8 = 0x01;
}

/// A receiver asks for the sender behind a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectRequest {
    /// The routing half of the code.
    pub slot: Slot,
    /// An access token, where the relay asks for one.
    pub token: Option<Vec<u8>>,
    /// That of an earlier [`ConnectReply`], from who comes back after a cut.
    pub pass: Option<Vec<u8>>,
}

impl Message for ConnectRequest {
    const TYPE: u8 = 0x02;
}

/// The relay's answer to [`RegisterRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReply {
    /// The slot, good for as long as the stream is open.
    pub slot: Slot,
    /// What takes the slot back after a lost connection; empty where the relay gives none.
    pub ticket: Vec<u8>,
    /// What the relay allows.
    pub limits: RelayLimits,
}

impl Message for RegisterReply {
    const TYPE: u8 = 0x11;
}

/// The relay's answer to [`ConnectRequest`]; the bridge begins behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectReply {
    /// What the relay allows.
    pub limits: RelayLimits,
    /// Shows the relay after a cut that this receiver was with this sender before.
    pub pass: Vec<u8>,
}

impl Message for ConnectReply {
    const TYPE: u8 = 0x12;
}

/// What a relay allows to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayLimits {
    /// The most bytes that one bridge holds: no more credit than this is of use.
    pub bridge_bytes: u64,
}

/// The relay says no; the stream ends behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Why.
    pub reason: RejectReason,
    /// Seconds after which another try may do better; 0 where none will.
    pub retry_after: u32,
}

impl Message for Rejected {
    const TYPE: u8 = 0x13;
}

/// Why a relay says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectReason {
    /// No sender has this slot. Free, resting and never used slots look alike.
    NotFound,
    /// An access token is missing or wrong.
    Token,
    /// No more senders, receivers or slots for now.
    Full,
    /// To who has a pass: the sender has ended its share.
    Ended,
    /// To who has a pass: the sender is not there; it may come back.
    Away,
}

/// The relay tells a sender, on a stream that it opens, that a receiver is behind it; the bridge begins here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingDownload {}

impl Message for IncomingDownload {
    const TYPE: u8 = 0x21;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::tests::check;

    #[test]
    fn the_bytes_of_every_message_are_fixed() {
        let slot = Slot::try_from(*b"XKY9").unwrap();
        let limits = RelayLimits { bridge_bytes: 1 << 24 };
        check(&RegisterRequest { token: None, ticket: Some(vec![1, 2]) }, "01000000050001020102");
        check(&ConnectRequest { slot, token: None, pass: None }, "0200000006584b59390000");
        check(
            &RegisterReply { slot, ticket: vec![9], limits },
            "110000000a584b59390109808080 08".replace(' ', "").as_str(),
        );
        check(&ConnectReply { limits, pass: vec![7] }, "1200000006808080080107");
        check(&Rejected { reason: RejectReason::Full, retry_after: 300 }, "130000000302ac02");
        check(&Rejected { reason: RejectReason::Away, retry_after: 1 }, "13000000020401");
        check(&IncomingDownload {}, "2100000000");
    }
}
