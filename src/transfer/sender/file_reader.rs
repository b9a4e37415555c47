//! Reads files into records. Blocking threads read and hash the content ahead of the connection.

use std::{sync::Arc, vec};

use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
};

use super::{
    comparer::{ComparedFile, Comparer},
    content_encoder::ContentEncoder,
    content_record::{ContentRecord, ContentRecords, FRAME_SPACE, content_limit},
    download_error::DownloadError,
    group_queue::GroupQueue,
    requested_files::RequestedFiles,
};
use crate::{
    blocking::cancelled,
    disk::{CancelOnDrop, HashProgress, Source, SourceError, SourceFile},
    net::BufferPool,
    wire::{
        WireError,
        peer::{FailureReason, FileEnd, FileStart},
    },
};

/// Records that are read before they can be sent. With 1, a record is read while the previous one is sent. A larger
/// value is not faster, and each of fifty downloads would hold that many records.
const READ_AHEAD: usize = 1;

/// Files that are compared before they can be sent. Each one is open.
const COMPARED_AHEAD: usize = 16;

/// The tasks that read and compare the requested files. Dropping this handle aborts them.
pub(super) struct FileReader {
    _tasks: JoinSet<()>,
    /// Dropping it cancels the hashing on a blocking thread.
    _hashing: CancelOnDrop,
}

impl FileReader {
    /// Spawns the tasks. The receiver's staged groups arrive in `groups`.
    pub(super) fn spawn(
        source: Arc<Source>,
        requested: RequestedFiles,
        groups: GroupQueue,
        encoder: ContentEncoder,
        buffers: BufferPool,
    ) -> (Self, ContentRecords) {
        let (records_tx, records) = mpsc::channel(READ_AHEAD);
        let (compared_tx, compared) = mpsc::channel(COMPARED_AHEAD);
        let hashing = HashProgress::default();
        let guard = hashing.cancel_on_drop();
        let RequestedFiles { unstaged, staged, .. } = requested;
        let comparer = Comparer { source: Arc::clone(&source), staged, groups, hashing: hashing.clone() };
        let unstaged = unstaged.into_iter();
        let reading = ReadTask { source, unstaged, compared, next: None, current: None, encoder, buffers, hashing };
        let mut tasks = JoinSet::new();
        tasks.spawn(comparer.run(compared_tx, records_tx.clone()));
        tasks.spawn(reading.run(records_tx));
        (Self { _tasks: tasks, _hashing: guard }, records)
    }
}

struct ReadTask {
    source: Arc<Source>,
    /// Entry numbers of the files that are not staged and not opened yet.
    unstaged: vec::IntoIter<u32>,
    /// Files of which a part is staged. They are sent before those that are not.
    compared: mpsc::Receiver<ComparedFile>,
    /// A compared file that is sent next.
    next: Option<ComparedFile>,
    /// The file that is being read, and the number of its entry.
    current: Option<(u32, SourceFile)>,
    encoder: ContentEncoder,
    buffers: BufferPool,
    hashing: HashProgress,
}

impl ReadTask {
    /// Uses one blocking call for each record. A blocking thread that waited for the connection would stop the paused
    /// clock of a test.
    async fn run(mut self, records: mpsc::Sender<Result<ContentRecord, DownloadError>>) {
        while self.has_next_file().await
            && let Ok(permit) = records.reserve().await
        {
            let filled = spawn_blocking(move || {
                let mut filled = self.fill_record();
                if let Ok(filled) = &mut filled {
                    self.encoder.encode(filled);
                }
                (self, filled)
            });
            let filled = match filled.await {
                Ok((task, filled)) => {
                    self = task;
                    filled
                }
                Err(e) => return permit.send(Err(DownloadError::Local(FailureReason::Source, cancelled(e)))),
            };
            let has_failed = filled.is_err();
            permit.send(filled.map_err(DownloadError::from));
            if has_failed {
                return;
            }
        }
    }

    /// Waits until a file can be read. Returns `false` after the last one.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no file is lost.
    async fn has_next_file(&mut self) -> bool {
        if self.current.is_none() && self.next.is_none() && self.unstaged.as_slice().is_empty() {
            self.next = self.compared.recv().await;
        }
        self.current.is_some() || self.next.is_some() || !self.unstaged.as_slice().is_empty()
    }

    /// Fills a record with as many files, or as much of one file, as it holds. A file that cannot be sent fails alone.
    fn fill_record(&mut self) -> Result<ContentRecord, WireError> {
        let mut filled = ContentRecord::empty(&self.buffers);
        while filled.record.remaining() > 2 * FRAME_SPACE {
            let Some((entry, file)) = &mut self.current else {
                match self.next_file() {
                    None => break,
                    Some(Ok(ComparedFile { entry, offset, file })) => {
                        self.current = Some((entry, file));
                        filled.record.push(&FileStart { entry, offset })?;
                        filled.content += offset;
                        filled.starts_file = true;
                    }
                    Some(Err((entry, e))) => filled.push_failure(entry, e)?,
                }
                continue;
            };
            let (entry, limit) = (*entry, content_limit(filled.record.remaining() - FRAME_SPACE));
            match filled.record.push_data(limit, |buffer| file.read(buffer)) {
                Ok(read) => {
                    filled.content += read as u64;
                    if read == limit {
                        break; // the file may continue, and the next record starts with a whole block
                    }
                    let Some((_, file)) = self.current.take() else { continue };
                    match file.finish(&self.hashing) {
                        Ok(hash) => filled.record.push(&FileEnd { hash })?,
                        Err(e) => filled.push_failure(entry, e)?,
                    }
                }
                Err(e) => {
                    self.current = None;
                    filled.push_failure(entry, e)?;
                }
            }
        }
        Ok(filled)
    }

    /// Returns the next file that can be read now; `Err` if it cannot be opened.
    fn next_file(&mut self) -> Option<Result<ComparedFile, (u32, SourceError)>> {
        if let Some(compared) = self.next.take().or_else(|| self.compared.try_recv().ok()) {
            return Some(Ok(compared));
        }
        let entry = self.unstaged.next()?;
        let opened = self.source.open(entry as usize);
        Some(opened.map(|file| ComparedFile { entry, offset: 0, file }).map_err(|e| (entry, e)))
    }
}
