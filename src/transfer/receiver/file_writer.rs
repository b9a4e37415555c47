//! From records to files: opened, checked and written on a blocking thread.

use std::path::PathBuf;

use crate::transfer::session::resumable_stream::ResumableStream;
use crate::transfer::user_errors::{explain_failure, explain_session_error, explain_wire_error};
use crate::{
    crypto::{Opener, record},
    disk::Sink,
    error::Result,
    net::PooledBuffer,
    wire::{
        Frame, Message, WireError,
        peer::{Ack, DATA, Failure, FileEnd, FileStart},
    },
};

/// Takes the records of a download, in order, and writes what is in them.
pub(crate) struct FileWriter {
    opener: Opener,
    sink: Sink,
    /// Hears what of ours the sender has.
    carrier: ResumableStream,
    bytes: u64,
}

impl FileWriter {
    /// Writes to `sink`.
    pub(crate) fn new(opener: Opener, sink: Sink, carrier: ResumableStream) -> Self {
        let bytes = sink.published_bytes();
        Self { opener, sink, carrier, bytes }
    }

    /// Whether every file is there and matches its hash.
    pub(crate) fn is_complete(&self) -> bool {
        self.sink.is_complete()
    }

    /// Bytes of content so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens a record and does what its frames say.
    ///
    /// # Errors
    /// What the sink says, what the sender says about its own failure, and whatever does not belong here.
    pub(crate) fn take(&mut self, mut record: PooledBuffer) -> Result<()> {
        self.opener.open(&mut record).map_err(|e| explain_session_error(&e.into()))?;
        let mut rest = record::plaintext(&record);
        while !rest.is_empty() {
            self.frame(&Frame::split(&mut rest).map_err(explain_wire_error)?)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        match frame.kind {
            DATA => {
                self.sink.write(frame.body)?;
                self.bytes += frame.body.len() as u64;
            }
            FileStart::TYPE => {
                let FileStart { entry, offset } = frame.decode().map_err(explain_wire_error)?;
                self.sink.start_file(entry as usize, offset)?;
                self.bytes += offset;
            }
            FileEnd::TYPE => {
                let FileEnd { hash } = frame.decode().map_err(explain_wire_error)?;
                self.sink.finish_file(&hash)?;
            }
            Ack::TYPE => {
                let Ack { received } = frame.decode().map_err(explain_wire_error)?;
                self.carrier.acknowledge(received).map_err(explain_wire_error)?;
            }
            Failure::TYPE => return Err(explain_failure(&frame.decode().map_err(explain_wire_error)?)),
            _ if frame.may_be_skipped() => {}
            other => return Err(explain_wire_error(WireError::Unexpected(other))),
        }
        Ok(())
    }

    /// Gives everything its name.
    ///
    /// # Errors
    /// As [`Sink::publish`].
    pub(crate) fn publish(self) -> Result<(Opener, Vec<PathBuf>)> {
        Ok((self.opener, self.sink.publish()?))
    }
}
