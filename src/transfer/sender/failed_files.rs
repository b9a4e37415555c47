//! The files of one download that could not be sent.

use crate::{
    disk::SourceError,
    error::{Error, Kind},
    text::{count, list},
};

/// The most files that are named.
const MAX_NAMED: usize = 10;

/// The files of one download that could not be sent.
#[derive(Debug, Default)]
pub(super) struct FailedFiles {
    count: u64,
    /// The reasons of the first ones.
    named: Vec<String>,
}

impl FailedFiles {
    pub(super) fn add(&mut self, error: &SourceError) {
        self.count += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(error.message().to_owned());
        }
    }

    /// Returns the error of the download; `None` if all files were sent.
    pub(super) fn error(&self) -> Option<Error> {
        let heading = format!("{} could not be sent", count(self.count, "file"));
        (self.count > 0).then(|| Error::new(Kind::Transfer, list(&heading, self.named.clone(), self.count, MAX_NAMED)))
    }
}
