//! The paths that a scan leaves out.

use std::fmt;

use crate::manifest::{LeftOut, LeftOutReason};

/// The most paths that are listed. All others are only counted, so that a folder full of them does not fill the memory.
const MAX_LISTED: usize = 100_000;

/// A path on this machine that is not shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutPath {
    /// Its path, safe to print on a terminal.
    pub path: String,
    /// The class of the reason.
    pub reason: LeftOutReason,
    /// The reason as a sentence, safe to print on a terminal.
    pub detail: String,
}

impl fmt::Display for LeftOutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.detail)
    }
}

/// The paths that a scan leaves out, and their number for each reason.
#[derive(Debug, Default)]
pub(super) struct LeftOutPaths {
    pub(super) listed: Vec<LeftOutPath>,
    pub(super) counts: LeftOut,
}

impl LeftOutPaths {
    pub(super) fn add(&mut self, path: String, reason: LeftOutReason, detail: impl Into<String>) {
        self.counts.add(reason);
        if self.listed.len() < MAX_LISTED {
            self.listed.push(LeftOutPath { path, reason, detail: detail.into() });
        }
    }
}
