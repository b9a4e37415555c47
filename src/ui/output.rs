//! The stream of results, whose failure does not end the work.

use std::io::{self, Write};

use super::lines::OutputStream;
use crate::blocking_write::write_and_flush;

/// The stream of results until it fails. Everything after that is discarded.
#[derive(Debug)]
pub(super) struct Output {
    stream: OutputStream,
    failure: Option<io::Error>,
}

impl Output {
    /// Creates the output to a stream of this process.
    pub(super) fn new(stream: OutputStream) -> Self {
        Self { stream, failure: None }
    }

    /// Writes `bytes` and flushes them.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match self.stream {
            OutputStream::Out => self.write_to(&mut io::stdout().lock(), bytes),
            OutputStream::Err => self.write_to(&mut io::stderr().lock(), bytes),
        }
    }

    fn write_to(&mut self, out: &mut impl Write, bytes: &[u8]) {
        if self.failure.is_none() {
            self.failure = write_and_flush(out, bytes).err();
        }
    }

    /// Returns the error that ended the output. The user or the script has closed a broken pipe, so that is no error.
    ///
    /// # Errors
    /// The error of the first write that failed.
    pub(super) fn into_result(self) -> io::Result<()> {
        match self.failure {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts three bytes at a time, and fails with each error once before that.
    struct Reluctant {
        errors: Vec<io::ErrorKind>,
        written: Vec<u8>,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.errors.pop() {
                return Err(kind.into());
            }
            let length = bytes.len().min(3);
            self.written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.errors.pop().map_or(Ok(()), |kind| Err(kind.into()))
        }
    }

    fn write_with(errors: &[io::ErrorKind]) -> (Output, Vec<u8>) {
        let (mut output, mut out) =
            (Output::new(OutputStream::Out), Reluctant { errors: errors.to_vec(), written: Vec::new() });
        output.write_to(&mut out, b"one line\n");
        output.write_to(&mut out, b"next\n");
        (output, out.written)
    }

    #[test]
    fn a_full_pipe_is_written_later() {
        let (output, written) = write_with(&[io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]);
        assert_eq!(written, b"one line\nnext\n");
        output.into_result().unwrap();
    }

    #[test]
    fn only_a_broken_pipe_is_no_error_and_nothing_follows_a_failure() {
        let (output, written) = write_with(&[io::ErrorKind::BrokenPipe]);
        output.into_result().unwrap();
        assert!(written.is_empty());
        let (output, written) = write_with(&[io::ErrorKind::StorageFull]);
        assert_eq!(output.into_result().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(written.is_empty());
    }
}
