//! Restores the frames of compressed records.

use zstd::{bulk::Decompressor, zstd_safe};

use crate::{
    net::{BufferPool, PooledBuffer},
    wire::{
        Frame, WireError,
        peer::{COMPRESSED, MAX_EXPANSION, MAX_UNPACKED, PAD},
    },
};

/// Restores the frames of compressed records. Takes no more memory than a record may state, whatever is compressed in
/// it: zstd writes directly to a buffer of the stated length.
pub struct RecordDecompressor {
    /// Created for the first compressed record. It takes 0.2 MB.
    zstd: Option<Decompressor<'static>>,
    buffers: BufferPool,
}

impl Default for RecordDecompressor {
    fn default() -> Self {
        Self { zstd: None, buffers: BufferPool::wiping() }
    }
}

/// Why the frames of a compressed record cannot be restored. The record is authentic, so its sender made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecompressionError {
    /// The stated length is zero, or longer than a record of this length may contain.
    #[error("a compressed record of the sender states {0} bytes, which it cannot contain")]
    BadLength(usize),
    /// The content is not one zstd frame that contains exactly the stated number of bytes.
    #[error("a compressed record of the sender does not unpack to the {0} bytes that it states")]
    Mismatch(usize),
    /// The record contains other frames.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl RecordDecompressor {
    /// Returns the frames of a record with this plaintext; `None` if they are not compressed.
    ///
    /// # Errors
    /// [`DecompressionError`] for a record that is compressed, and invalid.
    pub fn decompress(&mut self, plaintext: &[u8]) -> Result<Option<PooledBuffer>, DecompressionError> {
        if plaintext.first() != Some(&COMPRESSED) {
            return Ok(None);
        }
        let mut rest = plaintext;
        let body = Frame::split(&mut rest)?.body;
        while !rest.is_empty() {
            match Frame::split(&mut rest)?.kind {
                PAD => {}
                other => return Err(WireError::Unexpected(other).into()),
            }
        }
        let (length, zstd) = body.split_first_chunk().ok_or(WireError::Malformed)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > MAX_UNPACKED.min(plaintext.len() * MAX_EXPANSION) {
            return Err(DecompressionError::BadLength(length));
        }
        if !is_single_frame(zstd, length) {
            return Err(DecompressionError::Mismatch(length));
        }
        let mut frames = self.buffers.get();
        frames.resize(length, 0);
        let decompressor = self.zstd.get_or_insert_default();
        match decompressor.decompress_to_buffer(zstd, &mut frames[..]) {
            Ok(written) if written == length => Ok(Some(frames)),
            _ => Err(DecompressionError::Mismatch(length)),
        }
    }
}

/// Whether `zstd` is one frame, without anything behind it, whose header states `length` bytes of content.
fn is_single_frame(zstd: &[u8], length: usize) -> bool {
    zstd_safe::find_frame_compressed_size(zstd) == Ok(zstd.len())
        && matches!(zstd_safe::get_frame_content_size(zstd), Ok(Some(stated)) if stated == length as u64)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        transfer::session::{RecordBuilder, RecordCompressor},
        wire::{
            Message, frame,
            peer::{FileStart, GroupsEqual},
        },
    };

    fn push(record: &mut RecordBuilder, content: &[u8]) {
        let copy = |room: &mut [u8]| {
            room.copy_from_slice(content);
            Ok::<_, ()>(content.len())
        };
        record.push_data(content.len(), copy).unwrap();
    }

    fn decompress(plaintext: &[u8]) -> Result<Option<Vec<u8>>, DecompressionError> {
        Ok(RecordDecompressor::default().decompress(plaintext)?.map(|frames| frames.to_vec()))
    }

    /// Returns a compressed frame that states this length.
    fn stating(length: u32, zstd: &[u8]) -> Vec<u8> {
        let body_length = 4 + zstd.len() as u32;
        [&frame::header(COMPRESSED, body_length)[..], &length.to_be_bytes(), zstd].concat()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 1).unwrap()
    }

    /// A zstd frame that does not state its length.
    fn zstd_of_unstated_length(content: &[u8]) -> Vec<u8> {
        let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
        compressor.include_contentsize(false).unwrap();
        compressor.compress(content).unwrap()
    }

    proptest! {
        /// Runs of equal bytes and of random ones, in the frames of several files.
        #[test]
        fn compressed_records_survive_a_round_trip(
            pieces in vec(prop_oneof![
                (1..30_000usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
                (1..6_000usize, any::<u64>()).prop_map(|(length, seed)| noise(seed, length)),
            ], 1..5),
            compressor_was_used in any::<bool>(),
        ) {
            let mut record = RecordBuilder::new();
            for (entry, piece) in (0..).zip(&pieces) {
                record.push(&FileStart { entry, offset: 0 }).unwrap();
                push(&mut record, piece);
            }
            let mut compressor = RecordCompressor::default();
            if compressor_was_used {
                let mut other = RecordBuilder::new();
                push(&mut other, &[7; 50_000]);
                compressor.compress(&other).unwrap();
            }
            if let Some(compressed) = compressor.compress(&record) {
                prop_assert!(compressed.sealed_length() < record.sealed_length());
                let frames = decompress(compressed.frames()).unwrap();
                prop_assert_eq!(frames.as_deref(), Some(record.frames()));
            } else {
                prop_assert!(decompress(record.frames()).unwrap().is_none());
            }
        }

        #[test]
        fn perturbed_records_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0..40usize) {
            let mut record = RecordBuilder::new();
            push(&mut record, b"a few words, a few words, a few words, and more");
            push(&mut record, &[7; 9_000]);
            let mut bytes = RecordCompressor::default().compress(&record).unwrap().frames().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            if let Ok(Some(frames)) = decompress(&bytes) {
                prop_assert!(frames.len() <= MAX_UNPACKED);
            }
        }
    }

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_record_of_zeros_is_padded_to_the_least_length() {
        let mut record = RecordBuilder::new();
        push(&mut record, &[0; 120 * 1024]);
        let compressed = RecordCompressor::default().compress(&record).unwrap();
        assert_eq!(compressed.frames().len(), record.frames().len().div_ceil(MAX_EXPANSION));
        assert_eq!(decompress(compressed.frames()).unwrap().as_deref(), Some(record.frames()));
    }

    #[test]
    fn a_record_that_does_not_unpack_to_what_it_states_is_refused() {
        let mismatch = |length| Err(DecompressionError::Mismatch(length));
        let bad_length = |length| Err(DecompressionError::BadLength(length));
        let text: &[u8] = &b"some text, some text".repeat(50);
        let bomb = zstd(&vec![0; 64 * 1024 * 1024]);
        let two_frames = [zstd(&text[..500]), zstd(&text[500..])].concat();
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        for (what, expected, length, content) in [
            ("as stated", Ok(Some(text.to_vec())), 1_000, zstd(text)),
            ("less than stated", mismatch(1_001), 1_001, zstd(text)),
            ("more than stated", mismatch(999), 999, zstd(text)),
            ("more than stated, without a length", mismatch(999), 999, zstd_of_unstated_length(text)),
            ("a bomb that states little", mismatch(1_000), 1_000, bomb.clone()),
            ("a bomb that states its size", bad_length(64 << 20), 64 << 20, bomb.clone()),
            ("the highest length", bad_length(u32::MAX as usize), u32::MAX, bomb),
            ("one byte above the limit", bad_length(MAX_UNPACKED + 1), MAX_UNPACKED as u32 + 1, zstd(text)),
            ("more than the record may contain", bad_length(100_000), 100_000, zstd(&[0; 100_000])),
            ("nothing", bad_length(0), 0, zstd(b"")),
            ("no zstd frame", mismatch(1_000), 1_000, text.to_vec()),
            ("an empty body", mismatch(10), 10, Vec::new()),
            ("a cut frame", mismatch(1_000), 1_000, zstd(text)[..20].to_vec()),
            ("two frames", mismatch(1_000), 1_000, two_frames),
            ("a skippable frame behind it", mismatch(1_000), 1_000, [&zstd(text)[..], &skippable].concat()),
            ("a byte behind it", mismatch(1_000), 1_000, [&zstd(text)[..], b"x"].concat()),
        ] {
            assert_eq!(decompress(&stating(length, &content)), expected, "{what}");
        }
    }

    #[test]
    fn only_padding_may_follow_a_compressed_frame() {
        let compressed = stating(1_000, &zstd(&[7; 1_000]));
        let padding = frame::header(PAD, 0);
        let mut other = Vec::new();
        frame::encode(&GroupsEqual { entry: 0, groups: 0 }, &mut other).unwrap();
        assert!(decompress(&[&compressed[..], &padding, &padding].concat()).is_ok());
        let unexpected = |kind| Err(DecompressionError::Wire(WireError::Unexpected(kind)));
        assert_eq!(decompress(&[&compressed[..], &other].concat()), unexpected(GroupsEqual::TYPE));
        assert_eq!(decompress(&[&compressed[..], &compressed].concat()), unexpected(COMPRESSED));
        let malformed = Err(DecompressionError::Wire(WireError::Malformed));
        assert_eq!(decompress(&compressed[..8]), malformed);
        assert_eq!(decompress(&frame::header(COMPRESSED, 0)), malformed);
    }
}
