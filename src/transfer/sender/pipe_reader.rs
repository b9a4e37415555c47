//! Reads the pipe of a share into records, on a thread of its own: a read may wait for days, and a thread for
//! blocking work that waits would delay the exit of the process.

use std::thread;

use tokio::sync::mpsc;

use super::{
    content_encoder::ContentEncoder,
    content_record::{ContentRecord, ContentRecords, FRAME_SPACE, content_limit},
    download_error::DownloadError,
};
use crate::{
    disk::{InputPipe, OpenPipe},
    error::{Error, Kind},
    manifest::SafePath,
    net::BufferPool,
    wire::{
        WireError,
        peer::{FailureReason, FileEnd, FileStart},
    },
};

/// The number of the only entry of a pipe's share.
const ENTRY: u32 = 0;

/// Records that are read before they can be sent.
const READ_AHEAD: usize = 1;

/// Reads a pipe to its end, and builds the records of its content.
pub(super) struct PipeReader {
    file: OpenPipe,
    encoder: ContentEncoder,
    buffers: BufferPool,
    has_started: bool,
}

impl PipeReader {
    /// Starts the thread. `path` is the path of the pipe in the share. A record holds what one read returns, so
    /// nothing waits for a record to be full.
    ///
    /// # Errors
    /// [`DownloadError`] if the system starts no further thread.
    pub(super) fn spawn(
        pipe: InputPipe,
        path: SafePath,
        encoder: ContentEncoder,
        buffers: BufferPool,
    ) -> Result<ContentRecords, DownloadError> {
        let (records_tx, records) = mpsc::channel(READ_AHEAD);
        let work = move || match pipe.open(path) {
            Ok(file) => Self { file, encoder, buffers, has_started: false }.run(&records_tx),
            Err(e) => {
                let mut record = ContentRecord::empty(&buffers);
                let failed = record.push_failure(ENTRY, e).map(|()| record);
                let _ = records_tx.blocking_send(failed.map_err(DownloadError::from)); // as below
            }
        };
        let started = thread::Builder::new().name("pipe".into()).spawn(work);
        started.map_err(|e| {
            DownloadError::Local(
                FailureReason::Source,
                Error::new(Kind::Transfer, format!("cannot start a thread: {e}")),
            )
        })?;
        Ok(records)
    }

    /// Sends records until the pipe ends or fails, or nobody waits for them.
    fn run(mut self, records: &mpsc::Sender<Result<ContentRecord, DownloadError>>) {
        loop {
            let (filled, is_last) = match self.fill_record() {
                Ok((mut record, is_last)) => {
                    self.encoder.encode(&mut record);
                    (Ok(record), is_last)
                }
                Err(e) => (Err(e.into()), true),
            };
            // Fails if the download has ended.
            if records.blocking_send(filled).is_err() || is_last {
                return;
            }
        }
    }

    /// Returns the next record, and whether it is the last.
    fn fill_record(&mut self) -> Result<(ContentRecord, bool), WireError> {
        let mut filled = ContentRecord::empty(&self.buffers);
        if !std::mem::replace(&mut self.has_started, true) {
            filled.record.push(&FileStart { entry: ENTRY, offset: 0 })?;
            filled.starts_file = true;
        }
        let limit = content_limit(filled.record.remaining() - FRAME_SPACE);
        let is_last = match filled.record.push_data(limit, |buffer| self.file.read(buffer)) {
            Ok(0) => {
                filled.record.push(&FileEnd { hash: self.file.hash() })?;
                true
            }
            Ok(read) => {
                filled.content = read as u64;
                false
            }
            Err(e) => {
                filled.push_failure(ENTRY, e)?;
                true
            }
        };
        Ok((filled, is_last))
    }
}
