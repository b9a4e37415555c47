//! Frames: a type, a length and a body.
//!
//! ```text
//! +------+----------------+----------------+
//! | type | length, 32 bit | body, `length` |
//! +------+----------------+----------------+
//! ```
//! Big-endian. Bit 7 of the type says that who does not know the type may skip the frame; any other unknown type ends
//! the session.

use serde::{Serialize, de::DeserializeOwned};

/// Bytes before a body.
pub const HEADER: usize = 5;

/// The bit of a type that lets a receiver skip what it does not know.
pub const MAY_SKIP: u8 = 0x80;

/// A message with a type of its own and a `postcard` body.
pub trait Message: Serialize + DeserializeOwned {
    /// The frame's type.
    const TYPE: u8;
}

/// Appends `message` as a frame.
///
/// # Errors
/// [`WireError`] where it cannot be encoded, which does not happen to the messages of this crate.
pub fn encode<M: Message>(message: &M, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&header(M::TYPE, 0));
    postcard::to_io(message, &mut *out).map_err(|_| WireError::Malformed)?;
    let length = u32::try_from(out.len() - start - HEADER).map_err(|_| WireError::TooLong)?;
    out[start + 1..start + HEADER].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The header of a frame with a body of `length` bytes.
pub fn header(kind: u8, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind, a, b, c, d]
}

/// A frame as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: u8,
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first frame off `bytes`.
    ///
    /// # Errors
    /// [`WireError::Malformed`] where `bytes` does not hold a whole frame.
    pub fn split(bytes: &mut &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(WireError::Malformed)?;
        let (kind, length) = read_header(*header);
        let (body, rest) = rest.split_at_checked(length as usize).ok_or(WireError::Malformed)?;
        *bytes = rest;
        Ok(Self { kind, body })
    }

    /// The message in this frame.
    ///
    /// # Errors
    /// [`WireError::Unexpected`] for another type, [`WireError::Malformed`] for a body that is not one of `M`.
    pub fn decode<M: Message>(&self) -> Result<M, WireError> {
        if self.kind != M::TYPE {
            return Err(WireError::Unexpected(self.kind));
        }
        postcard::from_bytes(self.body).map_err(|_| WireError::Malformed)
    }

    /// Whether who does not know this frame may go on.
    pub fn may_be_skipped(&self) -> bool {
        self.kind & MAY_SKIP != 0
    }
}

/// Type and length of a frame.
pub fn read_header(header: [u8; HEADER]) -> (u8, u32) {
    let [kind, length @ ..] = header;
    (kind, u32::from_be_bytes(length))
}

/// Bytes that are not what was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame of another type than the one that belongs here.
    #[error("a message of type {0} that does not belong here")]
    Unexpected(u8),
    /// A body that is not one of its type.
    #[error("a malformed message")]
    Malformed,
    /// A frame longer than its place allows.
    #[error("a message that is too long")]
    TooLong,
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Debug;

    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    /// The three tests of every message: its bytes are fixed, it survives a round trip, and no change makes it panic.
    pub(in crate::wire) fn check<M: Message + PartialEq + Debug>(message: &M, golden: &str) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).unwrap();
        assert_eq!(HEXLOWER.encode(&bytes), golden, "{message:?}");
        let mut rest = &bytes[..];
        assert_eq!(Frame::split(&mut rest).unwrap().decode::<M>().unwrap(), *message);
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            assert_eq!(Frame::split(&mut rest), Err(WireError::Malformed));
            let _ = Frame { kind: M::TYPE, body: &bytes[HEADER.min(cut)..cut] }.decode::<M>();
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(frame) = Frame::split(&mut &changed[..]) {
                let _ = frame.decode::<M>();
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut rest = &bytes[..];
            while let Ok(frame) = Frame::split(&mut rest) {
                let _ = frame.may_be_skipped();
            }
            prop_assert!(rest.len() <= bytes.len());
        }
    }
}
