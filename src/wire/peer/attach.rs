//! The messages that attach an established session to another stream, in the clear.

use serde::{Deserialize, Serialize};

use crate::wire::frame::Message;

/// The receiver attaches a session to this stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// The id of the session.
    pub id: [u8; 16],
    /// The number of this stream. It increases strictly, so an old request cannot be replayed.
    pub number: u64,
    /// The offset below which all of the sender's sealed bytes have arrived. The sender continues there.
    pub received: u64,
    /// Proves that the session's receiver made this request.
    pub tag: [u8; 32],
}

impl Message for AttachRequest {
    const TYPE: u8 = 0x35;
}

/// The sender accepts an [`AttachRequest`]. Sealed bytes follow in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachReply {
    /// The offset below which all of the receiver's sealed bytes have arrived. The receiver continues there.
    pub received: u64,
    /// Proves that the session's sender made this reply, to this request.
    pub tag: [u8; 32],
}

impl Message for AttachReply {
    const TYPE: u8 = 0x36;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::golden::assert_golden;

    #[test]
    fn attach_messages_have_their_golden_bytes() {
        assert_golden(
            &AttachRequest { id: [1; 16], number: 2, received: 300, tag: [6; 32] },
            &format!("3500000033{}02ac02{}", "01".repeat(16), "06".repeat(32)),
        );
        assert_golden(&AttachReply { received: 300, tag: [6; 32] }, &format!("3600000022ac02{}", "06".repeat(32)));
    }
}
