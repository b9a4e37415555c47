//! Compresses the frames of a record.

use zstd::bulk::Compressor;

use super::record::RecordBuilder;
use crate::wire::peer::MAX_UNPACKED;

/// The level of zstd. On records of 120 KiB, level 1 compresses logs to a fifth at 840 MB/s. Level 3 gains nothing on
/// logs and 7 % on source code, and takes a third more time.
const LEVEL: i32 = 1;

/// A record is compressed if that saves at least one part in this many. Otherwise the receiver would unpack it for
/// little gain.
const LEAST_SAVING: usize = 8;

/// Compresses records.
#[derive(Default)]
pub struct RecordCompressor {
    /// Created for the first record, and reused: it takes about 0.6 MB.
    zstd: Option<Compressor<'static>>,
    compressed: Vec<u8>,
}

impl RecordCompressor {
    /// Returns the record with its frames compressed; `None` if that saves less than an eighth.
    pub fn compress(&mut self, record: &RecordBuilder) -> Option<RecordBuilder> {
        let frames = record.frames();
        if frames.len() > MAX_UNPACKED {
            return None;
        }
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Compressor::new(LEVEL).ok()?), // cannot fail: the level is valid
        };
        self.compressed.resize(frames.len() - frames.len().div_ceil(LEAST_SAVING), 0);
        // The only error is a result that is longer than the buffer.
        let length = zstd.compress_to_buffer(frames, &mut self.compressed[..]).ok()?;
        Some(RecordBuilder::compressed(frames.len(), &self.compressed[..length]))
    }
}
