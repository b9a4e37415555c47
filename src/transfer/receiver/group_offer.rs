//! Offers the groups of staged files to the sender, while content arrives.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::receive_error::ReceiveError;
use crate::{
    blocking::cancelled,
    disk::{CancelOnDrop, GroupPage, HashProgress, StagedHasher},
    error::Result,
    event::Event,
    manifest::Manifest,
    transfer::session::RecordBuilder,
    wire::peer::{GROUPS_PER_PAGE, MAX_UNANSWERED_GROUPS, StagedGroups},
};

/// Hashes the staged files page by page, as far ahead of the sender's answers as the protocol allows.
pub(super) struct GroupOffer {
    manifest: Arc<Manifest>,
    step: OfferStep,
    progress: HashProgress,
    /// Staged bytes in all.
    total: u64,
    /// Dropping it cancels the hashing.
    _cancel: CancelOnDrop,
}

enum OfferStep {
    /// Nothing is being hashed.
    Idle(Box<StagedHasher>),
    /// A blocking thread hashes the next pages.
    Hashing(JoinHandle<(Box<StagedHasher>, Result<Vec<GroupPage>>)>),
    /// Everything is hashed.
    Complete,
}

impl GroupOffer {
    /// Creates the offer of `total` staged bytes of the files of `manifest`. Without a `hasher`, nothing is staged.
    pub(super) fn new(manifest: Arc<Manifest>, hasher: Option<StagedHasher>, total: u64) -> Self {
        let progress = HashProgress::default();
        let _cancel = progress.cancel_on_drop();
        let step = hasher.map_or(OfferStep::Complete, |hasher| OfferStep::Idle(Box::new(hasher)));
        Self { manifest, step, progress, total, _cancel }
    }

    /// Waits for the next pages and returns the record with them. Never completes after the last ones. If too many
    /// groups have no answer, it does not complete either, and has to be called again after each answer.
    ///
    /// # Errors
    /// [`ReceiveError::Final`] if a staged file cannot be read.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the hashing continues, and the next call returns its result.
    pub(super) async fn next_record(&mut self) -> Result<RecordBuilder, ReceiveError> {
        loop {
            self.start_hashing();
            let OfferStep::Hashing(hashing) = &mut self.step else { return std::future::pending().await };
            let (hasher, pages) = hashing.await.map_err(|e| ReceiveError::Final(cancelled(e)))?;
            let pages = pages.map_err(ReceiveError::Final)?;
            if pages.is_empty() {
                self.step = OfferStep::Complete;
                continue;
            }
            self.step = OfferStep::Idle(hasher);
            let mut record = RecordBuilder::new();
            for GroupPage { index, groups } in pages {
                record.push(&StagedGroups { entry: self.manifest.number(index), groups })?;
            }
            return Ok(record);
        }
    }

    /// Starts to hash the next pages if that many more groups may be without an answer.
    fn start_hashing(&mut self) {
        match std::mem::replace(&mut self.step, OfferStep::Complete) {
            OfferStep::Idle(mut hasher) if hasher.unanswered_groups() + GROUPS_PER_PAGE <= MAX_UNANSWERED_GROUPS => {
                let progress = self.progress.clone();
                self.step = OfferStep::Hashing(spawn_blocking(move || {
                    let pages = hasher.next_pages(GROUPS_PER_PAGE, &progress);
                    (hasher, pages)
                }));
            }
            step => self.step = step,
        }
    }

    /// Returns the progress of the hashing, unless it is complete.
    pub(super) fn progress(&self) -> Option<Event> {
        let checking = Event::Checking { bytes: self.progress.bytes(), total: self.total };
        (!matches!(self.step, OfferStep::Complete) && self.total > 0).then_some(checking)
    }
}
