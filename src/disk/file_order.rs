//! The order in which the files of a download arrive, and their lengths. The sender decides both, and every sink checks
//! them.

use std::collections::BTreeMap;

use super::errors::protocol_violation;
use crate::{
    error::Result,
    manifest::{Entry, FileFailure, SafePath},
};

/// Which files of a download have been started, have finished and have failed, and how far the current one is.
#[derive(Debug)]
pub(super) struct FileOrder {
    current: Option<CurrentFile>,
    /// Which entries have been started.
    started: Vec<bool>,
    /// The files that the sender could not send, by the index of their entry.
    failed: BTreeMap<usize, FileFailure>,
    /// The number of wanted files that are neither finished nor failed.
    missing: u64,
}

/// The file whose content arrives.
#[derive(Debug)]
pub(super) struct CurrentFile {
    index: usize,
    pub(super) path: SafePath,
    /// `None` if it is known only at the end.
    pub(super) size: Option<u64>,
    pub(super) length: u64,
}

/// The part of a failed file that had arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailedPart {
    /// It was the current file, and had this many bytes.
    Current(u64),
    /// It was not started.
    NotStarted,
}

impl FileOrder {
    /// Expects `missing` files of a manifest with this many entries.
    pub(super) fn new(entries: usize, missing: u64) -> Self {
        Self { current: None, started: vec![false; entries], failed: BTreeMap::new(), missing }
    }

    /// Starts a file, of which `offset` bytes are there.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if another file is not complete, or it was started before.
    pub(super) fn start(&mut self, index: usize, entry: &Entry, offset: u64) -> Result<()> {
        if self.current.is_some() {
            return Err(protocol_violation("a file before the previous one was complete"));
        }
        if std::mem::replace(&mut self.started[index], true) {
            return Err(protocol_violation(format_args!("“{}” twice", entry.path)));
        }
        self.current = Some(CurrentFile { index, path: entry.path.clone(), size: entry.size(), length: offset });
        Ok(())
    }

    /// Counts content of the current file, before it is written. Returns the file with its new length.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if no file is started, or it becomes longer than announced.
    pub(super) fn grow(&mut self, more: usize) -> Result<&CurrentFile> {
        let Some(file) = &mut self.current else { return Err(protocol_violation("content outside of a file")) };
        file.length = file.length.saturating_add(more as u64);
        match file.size {
            Some(size) if file.length > size => {
                Err(protocol_violation(format_args!("more of “{}” than announced", file.path)))
            }
            _ => Ok(file),
        }
    }

    /// Ends the current file, and returns it. It is finished when its hash is verified: see
    /// [`FileOrder::note_finished`].
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if no file is started, or it is shorter than announced.
    pub(super) fn end(&mut self) -> Result<CurrentFile> {
        let Some(file) = self.current.take() else {
            return Err(protocol_violation("the end of a file before its start"));
        };
        if file.size.is_some_and(|size| file.length != size) {
            return Err(protocol_violation(format_args!("less of “{}” than announced", file.path)));
        }
        Ok(file)
    }

    /// Counts a file that is finished.
    pub(super) fn note_finished(&mut self) {
        self.missing -= 1;
    }

    /// Begins the failure of a file: see [`FileOrder::note_failed`].
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) unless it is the current file or, between two files, one that
    /// was not started.
    pub(super) fn fail(&mut self, index: usize, path: &SafePath) -> Result<FailedPart> {
        match self.current.take() {
            Some(file) if file.index == index => Ok(FailedPart::Current(file.length)),
            None if !std::mem::replace(&mut self.started[index], true) => Ok(FailedPart::NotStarted),
            _ => Err(protocol_violation(format_args!("the failure of “{path}” out of turn"))),
        }
    }

    /// Counts a file that has failed.
    pub(super) fn note_failed(&mut self, index: usize, reason: FileFailure) {
        self.failed.insert(index, reason);
        self.missing -= 1;
    }

    /// Whether every wanted file is finished or has failed.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Checks that the download may end.
    ///
    /// # Errors
    /// [`Kind::Transfer`](crate::error::Kind::Transfer) if files are missing.
    pub(super) fn check_complete(&self) -> Result<()> {
        if self.is_complete() && self.current.is_none() {
            Ok(())
        } else {
            Err(protocol_violation("the end of the download before all files were complete"))
        }
    }

    /// Returns the files that the sender could not send, by the index of their entry.
    pub(super) fn failed(&self) -> &BTreeMap<usize, FileFailure> {
        &self.failed
    }
}
