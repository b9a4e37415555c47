//! The messages of the handshake, in the clear: flights 1 to 3, and the alert that ends it.

use serde::{Deserialize, Serialize};

use crate::wire::frame::Message;

/// The version of the protocol between sender and receiver.
pub const VERSION: u16 = 1;

/// SPAKE2 on edwards25519, HKDF-SHA-256, AES-256-GCM.
pub const SUITE_SPAKE2_AES256GCM: u16 = 1;

/// SPAKE2 on edwards25519, HKDF-SHA-256, ChaCha20-Poly1305.
pub const SUITE_SPAKE2_CHACHA20POLY1305: u16 = 2;

/// All suites of this version, in the order of preference where AES is fast.
pub const SUITES: [u16; 2] = [SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305];

/// A bit of `capabilities`: AES is slow at this end. If either end sets it, the suite without AES is the best one.
pub const AES_IS_SLOW: u64 = 1;

/// A bit of a receiver's `capabilities`: the receiver reattaches after a lost stream, so the sender stores the session
/// for it.
pub const CAN_REATTACH: u64 = 2;

/// Flight 1: the receiver's capabilities and its messages of the key exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// All suites of the receiver, in the order of preference.
    pub suites: Vec<u16>,
    /// [`AES_IS_SLOW`] and [`CAN_REATTACH`]. Unknown bits are ignored.
    pub capabilities: u64,
    /// Random bytes that make every session unique.
    pub random: [u8; 16],
    /// The password that the key exchange uses.
    pub mode: HelloMode,
    /// The messages of the key exchange, each for one suite.
    pub exchanges: Vec<PakeMessage>,
}

impl Message for Hello {
    const TYPE: u8 = 0x31;
}

/// The password that a key exchange uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HelloMode {
    /// The secret half of a code.
    Code,
    /// The resumption key with this id.
    Resume(ResumptionId),
}

/// The id of a resumption key, which the sender has issued in a [`ResumptionGrant`](super::ResumptionGrant).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumptionId {
    /// Random bytes that identify the receiver.
    pub receiver: [u8; 16],
    /// Proves that the sender has issued the id. The sender checks the tag before it reserves resources for the
    /// receiver.
    pub tag: [u8; 32],
}

/// One end's message of the password-authenticated key exchange (PAKE), for one suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PakeMessage {
    /// The number of the suite.
    pub suite: u16,
    /// The message as the suite defines it.
    pub message: Vec<u8>,
}

/// Flight 2: the sender's choice of a suite and its message of the key exchange. A [`Confirm`] follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// [`VERSION`].
    pub version: u16,
    /// All suites of the sender, in the order of preference. The receiver checks that the best common one was chosen.
    pub suites: Vec<u16>,
    /// [`AES_IS_SLOW`]. Unknown bits are ignored.
    pub capabilities: u64,
    /// Random bytes that make every session unique.
    pub random: [u8; 16],
    /// The message of the chosen suite.
    pub exchange: PakeMessage,
}

impl Message for HelloReply {
    const TYPE: u8 = 0x32;
}

/// Flights 2 and 3: the proof that an end knows the password. Sealed records follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The confirmation tag of the end that sends it.
    pub tag: [u8; 32],
}

impl Message for Confirm {
    const TYPE: u8 = 0x33;
}

/// The sender has received flight 1 and is still at work on flight 2. Unauthenticated, so only a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processing {}

impl Message for Processing {
    const TYPE: u8 = 0x37;
}

/// The sender ends the handshake. Unauthenticated, so only a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The reason.
    pub reason: AlertReason,
    /// Seconds after which a retry may succeed; 0 if none will.
    pub retry_after: u32,
}

impl Message for Alert {
    const TYPE: u8 = 0x34;
}

/// Why a sender ends the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertReason {
    /// The sender does not support the receiver's protocol version.
    Version,
    /// The two ends have no suite in common.
    Suite,
    /// The guess budget of the share is spent by unconfirmed attempts.
    GuessBudgetSpent,
    /// The sender serves as many receivers as it can.
    Busy,
    /// The received bytes are no flight of this protocol.
    Malformed,
    /// The sender has no session with this id: an earlier process had it, or it has expired.
    UnknownSession,
    /// The sender has an error of its own, which it reports to its user.
    SenderError,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::golden::assert_golden;

    #[test]
    fn handshake_messages_have_their_golden_bytes() {
        let exchange = |suite| PakeMessage { suite, message: vec![0x41, 2] };
        let hello = |capabilities| Hello {
            version: VERSION,
            suites: SUITES.to_vec(),
            capabilities,
            random: [3; 16],
            mode: HelloMode::Code,
            exchanges: SUITES.map(exchange).to_vec(),
        };
        assert_golden(&hello(0), "310000001f01020102000303030303030303030303030303030300020102410202024102");
        let id = ResumptionId { receiver: [7; 16], tag: [8; 32] };
        let resuming = Hello { mode: HelloMode::Resume(id), exchanges: Vec::new(), ..hello(CAN_REATTACH) };
        let (random, receiver, tag) = ("03".repeat(16), "07".repeat(16), "08".repeat(32));
        assert_golden(&resuming, &format!("31000000470102010202{random}01{receiver}{tag}00"));
        assert_golden(&hello(AES_IS_SLOW), "310000001f01020102010303030303030303030303030303030300020102410202024102");
        let reply = |suite, capabilities| {
            let (suites, exchange) = (SUITES.to_vec(), exchange(suite));
            HelloReply { version: VERSION, suites, capabilities, random: [4; 16], exchange }
        };
        assert_golden(
            &reply(SUITE_SPAKE2_AES256GCM, 0),
            "320000001901020102000404040404040404040404040404040401024102",
        );
        assert_golden(
            &reply(SUITE_SPAKE2_CHACHA20POLY1305, AES_IS_SLOW),
            "320000001901020102010404040404040404040404040404040402024102",
        );
        assert_golden(&Confirm { tag: [6; 32] }, &format!("3300000020{}", "06".repeat(32)));
        assert_golden(&Processing {}, "3700000000");
        assert_golden(&Alert { reason: AlertReason::GuessBudgetSpent, retry_after: 600 }, "340000000302d804");
    }
}
