//! Compresses the records of a download where it pays.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;
use tracing::debug;

use super::{
    compression_mode::CompressionMode,
    content_record::{CompressionCost, ContentRecord},
};
use crate::transfer::session::RecordCompressor;

/// A file whose content does not become shorter is tried again after this many bytes: disk images and archives contain
/// content of both kinds. Trying costs 10 µs, because zstd gives up early.
const RETRY_AFTER: usize = 8 * 1024 * 1024;

/// Shorter records are not compressed: they contain small messages, or the end of a download.
const MIN_LENGTH: usize = 512;

/// Compresses the records of one download, on the thread that fills them.
pub(super) struct ContentEncoder {
    mode: CompressionMode,
    switch: CompressionSwitch,
    compressor: RecordCompressor,
    /// Bytes that are sent before the next try.
    pause: usize,
}

/// Switches the compression of [`CompressionMode::Auto`] on and off, from another thread. Off at first.
#[derive(Debug, Clone, Default)]
pub(super) struct CompressionSwitch(Arc<AtomicBool>);

impl CompressionSwitch {
    pub(super) fn set(&self, is_on: bool) {
        if self.0.swap(is_on, Ordering::Relaxed) != is_on {
            debug!("compression is switched {}", if is_on { "on" } else { "off" });
        }
    }
}

impl ContentEncoder {
    /// Creates the encoder, and the switch that matters in [`CompressionMode::Auto`].
    pub(super) fn new(mode: CompressionMode) -> (Self, CompressionSwitch) {
        let switch = CompressionSwitch::default();
        (Self { mode, switch: switch.clone(), compressor: RecordCompressor::default(), pause: 0 }, switch)
    }

    /// Compresses a record, if it pays.
    pub(super) fn encode(&mut self, filled: &mut ContentRecord) {
        let bytes = filled.record.frames().len();
        if !self.is_worth_trying(bytes, filled.starts_file) {
            return;
        }
        let started = Instant::now();
        match self.compressor.compress(&filled.record) {
            Some(record) => {
                filled.record = record;
                filled.compression = Some(CompressionCost { bytes, time: started.elapsed() });
            }
            // The next record may be the first with content of this file only.
            None if filled.starts_file => {}
            None => self.pause = RETRY_AFTER,
        }
    }

    fn is_worth_trying(&mut self, bytes: usize, starts_file: bool) -> bool {
        if bytes < MIN_LENGTH {
            return false;
        }
        match self.mode {
            CompressionMode::Never => false,
            CompressionMode::Always => true,
            CompressionMode::Auto if !self.switch.0.load(Ordering::Relaxed) => false,
            CompressionMode::Auto => {
                self.pause = if starts_file { 0 } else { self.pause.saturating_sub(bytes) };
                self.pause == 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{transfer::session::RecordBuilder, wire::peer::FileStart};

    const LENGTH: usize = 120 * 1024;

    fn zeros() -> Vec<u8> {
        vec![0; LENGTH]
    }

    fn random() -> Vec<u8> {
        (0..LENGTH).map(|_| rand::random()).collect()
    }

    /// Encodes a record with this content. Returns whether it is compressed.
    fn encode(encoder: &mut ContentEncoder, content: &[u8], starts_file: bool) -> bool {
        let mut record = RecordBuilder::new();
        if starts_file {
            record.push(&FileStart { entry: 0, offset: 0 }).unwrap();
        }
        record
            .push_data(content.len(), |room| {
                room.copy_from_slice(content);
                Ok::<_, ()>(content.len())
            })
            .unwrap();
        let before = record.frames().to_vec();
        let mut filled = ContentRecord { record, starts_file, ..ContentRecord::default() };
        encoder.encode(&mut filled);
        assert_eq!(filled.compression.is_none(), filled.record.frames() == before);
        filled.compression.is_some()
    }

    #[test]
    fn auto_compresses_only_while_it_is_switched_on() {
        let (mut encoder, switch) = ContentEncoder::new(CompressionMode::Auto);
        assert!(!encode(&mut encoder, &zeros(), true));
        switch.set(true);
        assert!(encode(&mut encoder, &zeros(), false));
        switch.set(false);
        assert!(!encode(&mut encoder, &zeros(), false));
    }

    #[test]
    fn always_and_never_do_not_depend_on_the_switch() {
        for (mode, is_compressed) in [(CompressionMode::Always, true), (CompressionMode::Never, false)] {
            let (mut encoder, switch) = ContentEncoder::new(mode);
            for is_on in [false, true] {
                switch.set(is_on);
                assert_eq!(encode(&mut encoder, &zeros(), false), is_compressed);
                assert!(!encode(&mut encoder, &random(), false), "random content");
                assert!(!encode(&mut encoder, &[0; 100], false), "a short record");
            }
        }
    }

    #[test]
    fn a_file_that_does_not_become_shorter_is_tried_again_later() {
        let (mut encoder, switch) = ContentEncoder::new(CompressionMode::Auto);
        switch.set(true);
        assert!(!encode(&mut encoder, &random(), true));
        assert!(encode(&mut encoder, &zeros(), false), "the first record may contain other files");
        assert!(!encode(&mut encoder, &random(), false));
        let tried = (0..).find(|_| encode(&mut encoder, &zeros(), false)).unwrap();
        assert_eq!(tried, RETRY_AFTER / LENGTH);
        assert!(encode(&mut encoder, &zeros(), false));
        assert!(!encode(&mut encoder, &random(), false));
        assert!(encode(&mut encoder, &zeros(), true), "another file");
    }
}
