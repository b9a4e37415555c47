//! Writes to an output that another process may have made non-blocking.

use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// How long to wait before the next write to a full pipe that does not block.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Writes `bytes` and flushes them. Waits while the output is full.
///
/// # Errors
/// Any other I/O error.
pub(crate) fn write_and_flush(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
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

/// Waits if the output is full for now.
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
