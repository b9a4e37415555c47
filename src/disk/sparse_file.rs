//! A file whose runs of zeros take no space on the disk.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
};

/// The block size of most file systems, in bytes. A block of zeros stays a hole.
const BLOCK: u64 = 4096;

/// The longest hole at the end of a file that its length does not include while more is written, in bytes. A download
/// resumes from the length.
const MAX_OPEN_HOLE: u64 = 1024 * 1024;

/// A file to which content is appended.
#[derive(Debug)]
pub(super) struct SparseFile {
    file: File,
    /// The bytes appended so far, and those before them.
    length: u64,
    /// The zeros at the end that are not written.
    hole: u64,
    /// Whether zeros may be left out.
    keeps_holes: bool,
}

impl SparseFile {
    /// Appends to `file`, which ends at its position `length`.
    pub(super) fn new(file: File, length: u64, keeps_holes: bool) -> Self {
        Self { file, length, hole: 0, keeps_holes }
    }

    /// Returns the length of the content in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends content. A block of zeros is left out if the disk keeps holes.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let (mut start, mut at) = (0, 0);
        while self.keeps_holes && at < data.len() {
            let rest_of_block = BLOCK - (self.length + at as u64) % BLOCK;
            let end = data.len().min(at + rest_of_block as usize);
            if is_zero(&data[at..end]) {
                self.write_data(&data[start..at])?;
                self.hole += (end - at) as u64;
                start = end;
            }
            at = end;
        }
        self.write_data(&data[start..])?;
        self.length += data.len() as u64;
        if self.hole >= MAX_OPEN_HOLE { self.file.set_len(self.length) } else { Ok(()) }
    }

    /// Writes data that is not left out, after the current hole.
    fn write_data(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        if self.hole > 0 {
            self.file.seek(SeekFrom::Current(self.hole.cast_signed()))?;
            self.hole = 0;
        }
        self.file.write_all(data)
    }

    /// Returns the file with its whole length.
    pub(super) fn finish(self) -> io::Result<File> {
        if self.hole > 0 {
            self.file.set_len(self.length)?;
        }
        Ok(self.file)
    }
}

fn is_zero(data: &[u8]) -> bool {
    data.first() == Some(&0) && data.chunks(64).all(|part| part.iter().fold(0, |sum, byte| sum | byte) == 0)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Writes content in pieces of `piece` bytes.
    fn write(content: &[u8], piece: usize, keeps_holes: bool) -> (Vec<u8>, fs::Metadata) {
        let mut file = tempfile::tempfile().unwrap();
        let mut sparse = SparseFile::new(file.try_clone().unwrap(), 0, keeps_holes);
        content.chunks(piece).for_each(|piece| sparse.write(piece).unwrap());
        assert_eq!(sparse.length(), content.len() as u64);
        drop(sparse.finish().unwrap());
        let mut written = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut written).unwrap();
        (written, file.metadata().unwrap())
    }

    proptest! {
        #[test]
        fn the_content_is_the_same_with_and_without_holes(
            runs in vec((0..3_u8, 1..20_000_usize), 0..12),
            piece in 1..70_000_usize,
            keeps_holes: bool,
        ) {
            let content: Vec<u8> = runs.iter().flat_map(|(byte, length)| vec![*byte; *length]).collect();
            let (written, _) = write(&content, piece, keeps_holes);
            prop_assert!(written == content);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_run_of_zeros_takes_no_space() {
        use std::os::unix::fs::MetadataExt as _;
        let mut content = vec![0; 8 << 20];
        content[5 << 20] = 1;
        for piece in [content.len(), 262_128, 1_000] {
            let (written, meta) = write(&content, piece, true);
            assert!(written == content && meta.blocks() * 512 <= 128 << 10, "{} blocks", meta.blocks());
        }
    }
}
