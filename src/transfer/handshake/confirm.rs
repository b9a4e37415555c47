//! Reads the confirmation tag of the other end.

use crate::{
    crypto::TAG_LENGTH,
    net::{RecvHalf, StreamError},
    wire::peer::Confirm,
};

/// The exact body length of a [`Confirm`]. Records follow the frame, so a longer limit would let a forged length
/// consume the beginning of the first record.
const CONFIRM_BODY: u32 = TAG_LENGTH as u32;

/// Reads a [`Confirm`]; does not check its tag.
///
/// # Errors
/// [`StreamError::Wire`] for any other frame; otherwise the error of the stream.
pub(super) async fn read_confirm(recv: &mut RecvHalf) -> Result<Confirm, StreamError> {
    Ok(recv.read_frame(CONFIRM_BODY).await?.frame().decode()?)
}
