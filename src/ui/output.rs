//! Standard output, whose failure does not end the work.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// How long to wait before the next write to a full pipe that another process has made non-blocking.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Standard output until it fails. Everything after that is discarded.
#[derive(Debug, Default)]
pub(super) struct Output {
    failure: Option<io::Error>,
}

impl Output {
    /// Writes `bytes` and flushes them.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.write_to(&mut io::stdout().lock(), bytes);
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

fn write_and_flush(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(e) => wait_if_full(e)?,
        }
    }
    while let Err(e) = out.flush() {
        wait_if_full(e)?;
    }
    Ok(())
}

/// Waits if the pipe is full for now.
fn wait_if_full(e: io::Error) -> io::Result<()> {
    match e.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => {
            thread::sleep(RETRY_DELAY);
            Ok(())
        }
        _ => Err(e),
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
        let (mut output, mut out) = (Output::default(), Reluctant { errors: errors.to_vec(), written: Vec::new() });
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
