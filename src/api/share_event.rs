//! The events of a share.

use crate::{
    client::NEW_CODE,
    error::Error,
    event::{DownloadStatus, Event},
};

/// An event of a share.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ShareEvent {
    /// A receiver has accepted.
    Started(SharedDownload),
    /// A receiver has acknowledged more bytes.
    Progress(SharedDownload),
    /// The connection is lost. The download continues when the receiver connects again.
    Waiting(SharedDownload),
    /// The receiver has connected again.
    Resumed(SharedDownload),
    /// The receiver has verified and saved everything.
    Finished(SharedDownload),
    /// The receiver's user has declined. The download has not started.
    Declined(SharedDownload),
    /// The download has failed, perhaps before it started.
    Failed(SharedDownload, Error),
    /// Somebody used a wrong code. After too many wrong codes, the share ends.
    WrongCode,
    /// The relay has lost the code, and the share has a new one: [`Share::code`](crate::Share::code).
    NewCode,
    /// The connection to the relay is lost; an attempt to connect again begins.
    Reconnecting {
        /// What happened.
        reason: String,
    },
    /// The relay is connected again.
    Reconnected,
    /// Something does not work as it should, and the share continues.
    Warning {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// A download, as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedDownload {
    /// The number of the download, from 1.
    pub number: u64,
    /// Bytes of content so far.
    pub bytes: u64,
    /// All bytes of content, if their number is known.
    pub total: Option<u64>,
}

impl From<&DownloadStatus> for SharedDownload {
    fn from(status: &DownloadStatus) -> Self {
        let DownloadStatus { number, bytes, total, .. } = *status;
        Self { number, bytes, total }
    }
}

impl ShareEvent {
    /// Converts an event that is one for the user of the library.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::DownloadStarted(download) => Self::Started(download.into()),
            Event::DownloadProgress(download) => Self::Progress(download.into()),
            Event::DownloadWaiting { download, .. } => Self::Waiting(download.into()),
            Event::DownloadResumed(download) => Self::Resumed(download.into()),
            Event::DownloadFinished { download, .. } => Self::Finished(download.into()),
            Event::DownloadDeclined(download) => Self::Declined(download.into()),
            Event::DownloadFailed { download, error, kind } => Self::Failed(download.into(), Error::new(*kind, error)),
            Event::WrongCode { .. } => Self::WrongCode,
            Event::Warning { kind: NEW_CODE, .. } => Self::NewCode,
            Event::Reconnecting { reason, .. } => Self::Reconnecting { reason: reason.clone() },
            Event::Reconnected { .. } => Self::Reconnected,
            Event::Warning { message, hint, .. } => Self::Warning { message: message.clone(), hint: hint.clone() },
            _ => return None,
        })
    }
}
