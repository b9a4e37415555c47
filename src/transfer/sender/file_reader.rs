//! Reads files into records. Blocking threads read and hash the content ahead of the connection.

use std::{sync::Arc, vec};

use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::requested_files::{RequestedFiles, StagedHashes};
use crate::{
    disk::{CancelOnDrop, HashProgress, Source, SourceFile},
    error::{Error, Kind, Result},
    net::BufferPool,
    transfer::session::RecordBuilder,
    wire::{
        WireError,
        peer::{FileEnd, FileStart},
    },
};

/// Records that are read before they can be sent. With 1, a record is read while the previous one is sent. A larger
/// value is not faster, and each of fifty downloads would hold that many records.
const READ_AHEAD: usize = 1;

/// Bytes of a record that the frames around the content of a file take at most.
const FRAME_SPACE: usize = 64;

/// Content is read in multiples of this many bytes. BLAKE3 hashes as many at once, and they are whole pages.
const BLOCK: usize = 8 * 1024;

/// A record that is ready to be sealed.
pub(super) struct ContentRecord {
    pub(super) record: RecordBuilder,
    /// Content bytes in the record, and the staged bytes that a [`FileStart`] in it skips.
    pub(super) content: u64,
}

/// The task that reads the requested files. Dropping this handle aborts it.
pub(super) struct FileReader {
    task: JoinHandle<()>,
    /// Dropping it cancels the hashing of staged data on a blocking thread.
    _hashing: CancelOnDrop,
}

impl FileReader {
    /// Spawns the task that reads the files. The returned channel closes after the last record or an error.
    pub(super) fn spawn(
        source: Arc<Source>,
        requested: RequestedFiles,
        buffers: BufferPool,
    ) -> (Self, mpsc::Receiver<Result<ContentRecord>>) {
        let (tx, rx) = mpsc::channel(READ_AHEAD);
        let hashing = HashProgress::default();
        let guard = hashing.cancel_on_drop();
        let RequestedFiles { files, staged, .. } = requested;
        let task = ReadTask { source, files: files.into_iter(), staged, current: None, buffers, hashing };
        (Self { task: tokio::spawn(task.run(tx)), _hashing: guard }, rx)
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct ReadTask {
    source: Arc<Source>,
    /// Entry numbers of the files that are not opened yet.
    files: vec::IntoIter<u32>,
    staged: StagedHashes,
    current: Option<SourceFile>,
    buffers: BufferPool,
    hashing: HashProgress,
}

impl ReadTask {
    /// Uses one blocking call for each record. A blocking thread that waited for the connection would stop the paused
    /// clock of a test.
    async fn run(mut self, records: mpsc::Sender<Result<ContentRecord>>) {
        while let Ok(permit) = records.reserve().await {
            let filled = spawn_blocking(move || {
                let filled = self.fill_record();
                (self, filled)
            });
            let filled = match filled.await {
                Ok((task, filled)) => {
                    self = task;
                    filled
                }
                Err(e) => return permit.send(Err(Error::new(Kind::Transfer, format!("reading failed: {e}")))),
            };
            let Some(filled) = filled.transpose() else { return };
            let has_failed = filled.is_err();
            permit.send(filled);
            if has_failed {
                return;
            }
        }
    }

    /// Fills a record with as many files, or as much of one file, as it holds. Returns `None` after the last file.
    fn fill_record(&mut self) -> Result<Option<ContentRecord>> {
        let mut record = RecordBuilder::with_buffer(self.buffers.get());
        let mut content = 0;
        while record.remaining() > 2 * FRAME_SPACE {
            let Some(file) = &mut self.current else {
                let Some(entry) = self.files.next() else { break };
                let offset = self.open_file(entry)?;
                record.push(&FileStart { entry, offset }).map_err(not_encodable)?;
                content += offset;
                continue;
            };
            let limit = content_limit(record.remaining() - FRAME_SPACE);
            let read = record.push_data(limit, |buffer| file.read(buffer))?;
            content += read as u64;
            if read == limit {
                break; // the file may continue, and the next record starts with a whole block
            }
            if let Some(file) = self.current.take() {
                record.push(&FileEnd { hash: file.finish()? }).map_err(not_encodable)?;
            }
        }
        Ok((!record.is_empty()).then_some(ContentRecord { record, content }))
    }

    /// Opens a file and returns the offset behind the staged groups that match it.
    fn open_file(&mut self, entry: u32) -> Result<u64> {
        let mut file = self.source.open(entry as usize)?;
        let offset = match self.staged.remove(entry) {
            Some(groups) => file.resume_after(&groups, &self.hashing)?,
            None => 0,
        };
        self.current = Some(file);
        Ok(offset)
    }
}

/// Returns how many content bytes to read into `room` bytes: whole blocks if at least one fits.
fn content_limit(room: usize) -> usize {
    if room < BLOCK { room } else { room - room % BLOCK }
}

fn not_encodable(e: WireError) -> Error {
    Error::new(Kind::Transfer, e.to_string())
}
