//! The messages between a client and a relay.
//!
//! | type | message | from | to | purpose |
//! |---|---|---|---|---|
//! | 0x01 | [`RegisterRequest`] | sender | relay | requests a slot; the stream stays open while the sender shares |
//! | 0x02 | [`ConnectRequest`] | receiver | relay | requests a bridge to the sender of a slot |
//! | 0x03 | [`LookupRequest`] | receiver | relay | asks whether a sender has a slot |
//! | 0x04 | [`AddressRequest`] | both | relay | asks for the address from which the relay sees the client |
//! | 0x11 | [`RegisterReply`] | relay | sender | assigns the slot |
//! | 0x12 | [`ConnectReply`] | relay | receiver | the bridge begins behind this frame |
//! | 0x13 | [`Rejected`] | relay | both | refuses the request; the stream ends behind this frame |
//! | 0x14 | [`LookupReply`] | relay | receiver | a sender has the slot; the stream ends behind this frame |
//! | 0x15 | [`AddressReply`] | relay | both | that address; the stream ends behind this frame |
//! | 0x21 | [`IncomingDownload`] | relay | sender | opens a stream for a receiver; the bridge begins behind it |
//!
//! A client opens a stream for each request. In a bridge the relay forwards bytes unchanged, and a finish, reset or
//! stop of one side becomes the same of the other ([`super::reset_code`]). No message has a field for a secret.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{frame::Message, relay_limit::RelayLimit};
use crate::{code::Slot, route::Route};

/// The longest body of a message between client and relay, in bytes.
pub const MAX_BODY: u32 = 4096;

/// The name of the protocol in the TLS handshake (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"qshare/1";

/// A sender requests a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The access token, if the sender has one for this relay.
    pub token: Option<Vec<u8>>,
    /// The ticket of an earlier [`RegisterReply`], to reclaim its slot.
    pub ticket: Option<Vec<u8>>,
}

impl Message for RegisterRequest {
    const TYPE: u8 = 0x01;
}

/// A receiver requests a bridge to the sender of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectRequest {
    /// The routing half of the code.
    pub slot: Slot,
    /// An access token for this relay. Receivers of this version send none, and relays do not check it.
    pub token: Option<Vec<u8>>,
    /// The pass of an earlier [`ConnectReply`], to learn why the sender is not connected.
    pub pass: Option<Vec<u8>>,
}

impl Message for ConnectRequest {
    const TYPE: u8 = 0x02;
}

/// A receiver asks whether a sender has a slot, before it sends a key exchange to one of several relays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupRequest {
    /// The routing half of the code.
    pub slot: Slot,
    /// The seconds for which the relay may wait until a sender has the slot. The relay may wait for a shorter time.
    pub wait: u32,
}

impl Message for LookupRequest {
    const TYPE: u8 = 0x03;
}

/// The reply to a [`RegisterRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReply {
    /// The slot, which the sender has for as long as the stream is open.
    pub slot: Slot,
    /// Reclaims the slot after a lost connection; empty if the relay issues no tickets.
    pub ticket: Vec<u8>,
    /// The limits of the relay.
    pub limits: RelayLimits,
}

impl Message for RegisterReply {
    const TYPE: u8 = 0x11;
}

/// The reply to a [`ConnectRequest`]. The bridge begins behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectReply {
    /// The limits of the relay.
    pub limits: RelayLimits,
    /// Proves in a later [`ConnectRequest`] that this receiver was bridged to this sender.
    pub pass: Vec<u8>,
    /// The route to the sender. It is [`Route::Relay`] unless the sender runs the relay. Nothing depends on it but what
    /// the user sees.
    pub route: Route,
}

impl Message for ConnectReply {
    const TYPE: u8 = 0x12;
}

/// The reply to a [`LookupRequest`]: a sender has the slot. The stream ends behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupReply;

impl Message for LookupReply {
    const TYPE: u8 = 0x14;
}

/// A client asks for the address from which the relay sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRequest;

impl Message for AddressRequest {
    const TYPE: u8 = 0x04;
}

/// The reply to an [`AddressRequest`]. The stream ends behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressReply {
    /// The address.
    pub addr: SocketAddr,
}

impl Message for AddressReply {
    const TYPE: u8 = 0x15;
}

/// The limits that a relay sets for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayLimits {
    /// The most bytes that one bridge holds in each direction. More credit than this is useless.
    pub bridge_bytes: u64,
}

/// The relay refuses a request. The stream ends behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The reason.
    pub reason: RejectReason,
    /// Seconds after which a retry may succeed; 0 if none will.
    pub retry_after: u32,
}

impl Message for Rejected {
    const TYPE: u8 = 0x13;
}

/// Why a relay refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RejectReason {
    /// No sender has this slot. Free, reserved and never issued slots get the same reply.
    NotFound,
    /// The access token is missing or wrong.
    Token,
    /// The sender cannot take another stream now.
    Full,
    /// Only to a receiver with a pass: the sender has ended its share.
    Ended,
    /// Only to a receiver with a pass: the sender is disconnected and may reconnect.
    Away,
    /// A limit of the relay is reached.
    Limit(RelayLimit),
}

/// The relay announces a receiver to the sender, on a stream that the relay opens. The bridge begins behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingDownload {
    /// The network that the receiver connects from.
    pub source: SourceTag,
    /// The route to the receiver, as in [`ConnectReply`].
    pub route: Route,
}

impl Message for IncomingDownload {
    const TYPE: u8 = 0x21;
}

/// The network that a receiver connects from, and the site around it, hashed under a key of the relay.
///
/// Receivers of one network have the same tag, so a sender can be fair among networks without learning their addresses.
/// Tags change every hour and differ between shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceTag {
    /// The IPv6 /48, all of which one customer may have; or the IPv4 address.
    pub site: SiteTag,
    /// The IPv4 address or the IPv6 /64.
    pub network: [u8; 8],
}

impl SourceTag {
    /// Creates the tag of a network that is alone in its site.
    pub fn alone(tag: [u8; 8]) -> Self {
        Self { site: SiteTag(tag), network: tag }
    }
}

/// The hash of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SiteTag(pub [u8; 8]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::golden::assert_golden;

    #[test]
    fn every_message_has_its_golden_bytes() {
        let slot = Slot::try_from(*b"XKY9").unwrap();
        let limits = RelayLimits { bridge_bytes: 1 << 24 };
        assert_golden(&RegisterRequest { token: None, ticket: Some(vec![1, 2]) }, "01000000050001020102");
        assert_golden(&ConnectRequest { slot, token: None, pass: None }, "0200000006584b59390000");
        assert_golden(&LookupRequest { slot, wait: 60 }, "0300000005584b59393c");
        assert_golden(&LookupReply, "1400000000");
        assert_golden(&AddressRequest, "0400000000");
        assert_golden(&AddressReply { addr: ([192, 0, 2, 7], 4433).into() }, "150000000700c0000207d122");
        assert_golden(&RegisterReply { slot, ticket: vec![9], limits }, "110000000a584b5939010980808008");
        assert_golden(&ConnectReply { limits, pass: vec![7], route: Route::Lan }, "120000000780808008010702");
        assert_golden(&Rejected { reason: RejectReason::Full, retry_after: 300 }, "130000000302ac02");
        assert_golden(&Rejected { reason: RejectReason::Away, retry_after: 1 }, "13000000020401");
        let reason = RejectReason::Limit(RelayLimit::Misses);
        assert_golden(&Rejected { reason, retry_after: 60 }, "1300000003050c3c");
        let source = SourceTag { site: SiteTag(*b"12345678"), network: *b"abcdefgh" };
        assert_golden(
            &IncomingDownload { source, route: Route::Local },
            "21000000113132333435363738616263646566676803",
        );
    }
}
