//! Writes the records of a download to files. It blocks, so it runs on a thread for blocking work.

use super::receive_error::ReceiveError;
use crate::{
    crypto::{Opener, record},
    disk::{ContentSink, PublishedDownload},
    error::Result,
    net::PooledBuffer,
    transfer::session::{RecordDecompressor, idle_records::IdleRecords, resumable_stream::ResumableStream},
    wire::{
        Frame, Message, WireError,
        peer::{Ack, DATA, Failure, FileEnd, FileFailed, FileStart, GroupsEqual},
    },
};

/// Opens the records of a download, in order, and writes their content.
pub(super) struct FileWriter<S> {
    opener: Opener,
    decompressor: RecordDecompressor,
    sink: S,
    /// The session's stream. The sender's acknowledgements release the bytes that it stores.
    stream: ResumableStream,
    bytes: u64,
    /// The latest file.
    entry: Option<usize>,
    idle: IdleRecords,
}

impl<S: ContentSink> FileWriter<S> {
    /// Creates a writer to `sink`.
    pub(super) fn new(opener: Opener, sink: S, stream: ResumableStream) -> Self {
        let bytes = sink.published_bytes();
        let decompressor = RecordDecompressor::default();
        Self { opener, decompressor, sink, stream, bytes, entry: None, idle: IdleRecords::default() }
    }

    /// Whether every file is complete and matches its hash, or cannot be sent.
    pub(super) fn is_complete(&self) -> bool {
        self.sink.is_complete()
    }

    /// Returns the bytes of content so far, staged data included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the path of the file that is being written, or was written last.
    pub(super) fn current_path(&self) -> Option<String> {
        let row = self.entry.and_then(|entry| self.sink.manifest().row(entry));
        row.map(|row| row.path().into_string())
    }

    /// Opens a record and handles its frames.
    ///
    /// # Errors
    /// - [`ReceiveError::Session`] for a record that was altered, for an unexpected frame, and for too many records in
    ///   a row without content
    /// - [`ReceiveError::Sender`] for a failure that the sender reports
    /// - [`ReceiveError::Final`] for a compressed record that does not unpack to what it states, and for an error of
    ///   the sink
    pub(super) fn write_record(&mut self, mut record: PooledBuffer) -> Result<(), ReceiveError> {
        self.opener.open(&mut record)?;
        let plaintext = record::plaintext(&record);
        let decompressed = self.decompressor.decompress(plaintext)?;
        let mut rest = decompressed.as_ref().map_or(plaintext, |frames| &frames[..]);
        if rest.is_empty() {
            return Err(WireError::Malformed.into());
        }
        let mut is_progress = false;
        while !rest.is_empty() {
            is_progress |= self.handle_frame(&Frame::split(&mut rest)?)?;
        }
        Ok(self.idle.note(is_progress)?)
    }

    /// Handles a frame. Returns whether the download has progressed.
    fn handle_frame(&mut self, frame: &Frame<'_>) -> Result<bool, ReceiveError> {
        match frame.kind {
            DATA if frame.body.is_empty() => return Err(WireError::Malformed.into()),
            DATA => {
                self.sink.write(frame.body).map_err(ReceiveError::Final)?;
                self.bytes += frame.body.len() as u64;
            }
            FileStart::TYPE => {
                let FileStart { entry, offset } = frame.decode()?;
                let index = self.index_of(entry)?;
                self.sink.start_file(index, offset).map_err(ReceiveError::Final)?;
                self.bytes += offset;
                self.entry = Some(index);
            }
            FileEnd::TYPE => {
                let FileEnd { hash } = frame.decode()?;
                self.sink.finish_file(&hash).map_err(ReceiveError::Final)?;
            }
            FileFailed::TYPE => {
                let FileFailed { entry, reason } = frame.decode()?;
                let index = self.index_of(entry)?;
                self.bytes -= self.sink.fail_file(index, reason).map_err(ReceiveError::Final)?;
            }
            GroupsEqual::TYPE => {
                let GroupsEqual { entry, groups } = frame.decode()?;
                let index = self.index_of(entry)?;
                return self.sink.confirm_groups(index, groups).map_err(ReceiveError::Final);
            }
            Ack::TYPE => {
                let Ack { received } = frame.decode()?;
                self.stream.acknowledge(received)?;
                return Ok(false);
            }
            Failure::TYPE => return Err(ReceiveError::Sender(frame.decode()?)),
            _ if frame.may_be_skipped() => return Ok(false),
            other => return Err(WireError::Unexpected(other).into()),
        }
        Ok(true)
    }

    /// Returns the index of the entry with this number in the sender's manifest.
    fn index_of(&self, number: u32) -> Result<usize, ReceiveError> {
        self.sink.index_of(number).map_err(ReceiveError::Final)
    }

    /// Completes the download. Returns the opener, for the sender's last record, and the result.
    ///
    /// # Errors
    /// Those of [`ContentSink::publish`].
    pub(super) fn publish(self) -> Result<(Opener, PublishedDownload)> {
        Ok((self.opener, self.sink.publish()?))
    }
}
