//! The frame that holds a message: a type, a length and a body.
//!
//! ```text
//! +------+----------------+----------------+
//! | type | length, 32 bit | body, `length` |
//! +------+----------------+----------------+
//! ```
//! Integers are big-endian. If bit 7 of the type is set, a receiver skips a frame of unknown type; any other unknown
//! type ends the session.

use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a frame before its body.
pub const HEADER: usize = 5;

/// The bit of a type that lets a receiver skip a frame of unknown type.
pub const MAY_SKIP: u8 = 0x80;

/// A message with a frame type of its own and a `postcard` body.
pub trait Message: Serialize + DeserializeOwned {
    /// The frame type.
    const TYPE: u8;
}

/// Appends `message` as a frame.
///
/// # Errors
/// [`WireError`] if it cannot be encoded, which does not happen for the messages of this crate.
pub fn encode<M: Message>(message: &M, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&header(M::TYPE, 0));
    postcard::to_io(message, &mut *out).map_err(|_| WireError::Malformed)?;
    let length = u32::try_from(out.len() - start - HEADER).map_err(|_| WireError::TooLong)?;
    out[start + 1..start + HEADER].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Returns the header of a frame with a body of `length` bytes.
pub fn header(kind: u8, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind, a, b, c, d]
}

/// Returns the type and the body length of the frame with this header.
pub fn read_header(header: [u8; HEADER]) -> (u8, u32) {
    let [kind, length @ ..] = header;
    (kind, u32::from_be_bytes(length))
}

/// A received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame type.
    pub kind: u8,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Removes the first frame from `bytes`.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if `bytes` does not hold a whole frame.
    pub fn split(bytes: &mut &'a [u8]) -> Result<Self, WireError> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(WireError::Malformed)?;
        let (kind, length) = read_header(*header);
        let (body, rest) = rest.split_at_checked(length as usize).ok_or(WireError::Malformed)?;
        *bytes = rest;
        Ok(Self { kind, body })
    }

    /// Decodes the message in this frame.
    ///
    /// # Errors
    /// [`WireError::Unexpected`] if the frame has another type than `M`, [`WireError::Malformed`] if its body is
    /// not an `M`.
    pub fn decode<M: Message>(&self) -> Result<M, WireError> {
        if self.kind != M::TYPE {
            return Err(WireError::Unexpected(self.kind));
        }
        postcard::from_bytes(self.body).map_err(|_| WireError::Malformed)
    }

    /// Whether a receiver that does not know the type skips this frame.
    pub fn may_be_skipped(&self) -> bool {
        self.kind & MAY_SKIP != 0
    }
}

/// Received bytes that violate the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame of another type than the protocol allows at this point.
    #[error("unexpected message of type {0}")]
    Unexpected(u8),
    /// A frame that is incomplete, or a body that does not decode or holds invalid values.
    #[error("malformed message")]
    Malformed,
    /// A frame that is longer than its limit.
    #[error("message too long")]
    TooLong,
    /// The peer sent more bytes than the protocol allows before the next message of this side.
    #[error("data out of turn")]
    OutOfTurn,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn splitting_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut rest = &bytes[..];
            while let Ok(frame) = Frame::split(&mut rest) {
                let _ = frame.may_be_skipped();
            }
            prop_assert!(rest.len() <= bytes.len());
        }
    }
}
