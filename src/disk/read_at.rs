//! Reads at an offset, without a shared file position.

use std::{fs, io};

/// Reads bytes at `offset` into `buf`; returns 0 at the end of the file.
#[cfg(unix)]
pub(super) fn read_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &fs::File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}
