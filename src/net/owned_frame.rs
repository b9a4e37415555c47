//! A frame that owns its bytes.

use bytes::Bytes;

use crate::wire::{Frame, HEADER};

/// A frame that owns its bytes. Holds at least a whole header.
#[derive(Debug, Clone)]
pub struct OwnedFrame(Bytes);

impl OwnedFrame {
    /// Wraps `bytes`, which hold exactly one frame.
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The exact bytes of the frame, with its header.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The type and the body.
    pub fn frame(&self) -> Frame<'_> {
        Frame { kind: self.0[0], body: &self.0[HEADER..] }
    }
}
