//! Frames of the wire protocol, and frames that no version of it has.

use qshare::internals::wire::{Message, frame::encode};
use serde::{Deserialize, Serialize};

/// Encodes a message as a frame.
pub(crate) fn bytes_of<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

/// A frame whose type is unknown to this version.
#[derive(Serialize, Deserialize)]
pub(crate) struct UnknownFrame<const TYPE: u8>(pub(crate) u32);

impl<const TYPE: u8> Message for UnknownFrame<TYPE> {
    const TYPE: u8 = TYPE;
}
