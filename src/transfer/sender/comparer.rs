//! Compares what the receiver has staged with the files of the share, while other files are sent.

use std::sync::Arc;

use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};

use super::{
    content_record::ContentRecord, download_error::DownloadError, group_queue::GroupQueue,
    record_sender::RECEIVER_STALL_TIMEOUT, requested_files::StagedFile,
};
use crate::{
    blocking::cancelled,
    disk::{Comparison, ComparisonState, HashProgress, Source, SourceError, SourceFile},
    transfer::session::RecordBuilder,
    wire::peer::{FailureReason, FileFailed, GROUPS_PER_PAGE, GroupsEqual},
};

/// A file of which the receiver has staged a part.
pub(super) struct ComparedFile {
    /// The number of its entry.
    pub(super) entry: u32,
    /// Where it continues.
    pub(super) offset: u64,
    pub(super) file: SourceFile,
}

/// Compares one staged file after another. Hashes each page while the receiver hashes the same one.
pub(super) struct Comparer {
    pub(super) source: Arc<Source>,
    pub(super) staged: Vec<StagedFile>,
    pub(super) groups: GroupQueue,
    pub(super) hashing: HashProgress,
}

impl Comparer {
    /// Compares all files. Passes each to `compared` once it is known where it continues. Answers to the receiver,
    /// files that cannot be read, and an error go to `records`.
    pub(super) async fn run(
        self,
        compared: mpsc::Sender<ComparedFile>,
        records: mpsc::Sender<Result<ContentRecord, DownloadError>>,
    ) {
        for staged in &self.staged {
            match self.compare(*staged, &records).await {
                Ok(Some(file)) => {
                    if compared.send(file).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                Err(e) => {
                    let _ = records.send(Err(e)).await; // if this fails, the download has ended
                    return;
                }
            }
        }
    }

    /// Compares one file; returns `None` if it cannot be sent.
    async fn compare(
        &self,
        StagedFile { entry, bytes }: StagedFile,
        records: &mpsc::Sender<Result<ContentRecord, DownloadError>>,
    ) -> Result<Option<ComparedFile>, DownloadError> {
        let mut started = None;
        loop {
            let (source, hashing) = (Arc::clone(&self.source), self.hashing.clone());
            let hashed = spawn_blocking(move || {
                let mut comparison = match started {
                    Some(comparison) => comparison,
                    None => Comparison::new(source.open(entry as usize)?, bytes),
                };
                comparison.hash_page(GROUPS_PER_PAGE, &hashing)?;
                Ok::<_, SourceError>(comparison)
            });
            let hashed = hashed.await.map_err(|e| DownloadError::Local(FailureReason::Source, cancelled(e)))?;
            let mut comparison = match hashed {
                Ok(comparison) => comparison,
                Err(e) => {
                    self.groups.decide();
                    let record = RecordBuilder::from_message(&FileFailed { entry, reason: e.failure() })?;
                    let _ =
                        records.send(Ok(ContentRecord { record, failed: vec![e], ..ContentRecord::default() })).await; // as above
                    return Ok(None);
                }
            };
            let theirs = timeout(RECEIVER_STALL_TIMEOUT, self.groups.next()).await;
            let theirs = theirs.map_err(|_| DownloadError::stalled("the receiver stopped hashing its staged data"))?;
            if comparison.compare_page(&theirs) == ComparisonState::Decided {
                self.groups.decide();
                let (file, offset) = comparison.into_file();
                return Ok(Some(ComparedFile { entry, offset, file }));
            }
            let record = RecordBuilder::from_message(&GroupsEqual { entry, groups: comparison.equal_groups() })?;
            let _ = records.send(Ok(ContentRecord { record, ..ContentRecord::default() })).await; // as above
            started = Some(comparison);
        }
    }
}
