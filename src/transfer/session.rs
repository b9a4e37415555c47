//! The sealed stream of a confirmed session.
//!
//! A [`SessionWriter`] seals records of whole frames, and a [`SessionReader`] receives them. Both use a
//! [`ResumableStream`](resumable_stream::ResumableStream), which outlives any single QUIC stream: it counts the bytes
//! of both directions and keeps those that are not acknowledged. [`ReceiveWindow`](receive_window::ReceiveWindow) and
//! [`SendCredit`](send_credit::SendCredit) bound how many bytes are in flight. A [`RecordCompressor`] compresses the
//! frames of a record before it is sealed, and a [`RecordDecompressor`] restores them.

mod error;
pub(crate) mod idle_records;
pub(crate) mod manifest_decoder;
pub(crate) mod manifest_encoder;
mod reader;
pub mod receive_window;
mod record;
mod record_compressor;
mod record_decompressor;
pub mod resumable_stream;
mod retransmit_buffer;
pub mod send_credit;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{
    error::SessionError,
    reader::{OpenedRecord, SessionReader},
    record::{MAX_RECORD, RecordBuilder},
    record_compressor::RecordCompressor,
    record_decompressor::{DecompressionError, RecordDecompressor},
    writer::{ClosingWriter, SessionWriter},
};
