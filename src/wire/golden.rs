//! The test that every message must pass.

use std::fmt::Debug;

use data_encoding::HEXLOWER;

use super::frame::{Frame, HEADER, Message, WireError, encode};

/// Asserts that `message` is encoded as the bytes `golden` and survives a round trip, and that neither a truncation nor
/// a flipped bit makes the decoder panic.
pub(super) fn assert_golden<M: Message + PartialEq + Debug>(message: &M, golden: &str) {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    assert_eq!(HEXLOWER.encode(&bytes), golden, "{message:?}");
    let mut rest = &bytes[..];
    assert_eq!(Frame::split(&mut rest).unwrap().decode::<M>().unwrap(), *message);
    assert!(rest.is_empty());
    for cut in 0..bytes.len() {
        let mut rest = &bytes[..cut];
        assert_eq!(Frame::split(&mut rest), Err(WireError::Malformed));
        let _ = Frame { kind: M::TYPE, body: &bytes[HEADER.min(cut)..cut] }.decode::<M>(); // must not panic
    }
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(frame) = Frame::split(&mut &changed[..]) {
            let _ = frame.decode::<M>(); // must not panic
        }
    }
}
