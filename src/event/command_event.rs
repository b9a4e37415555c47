//! An event of a running command.

use serde::Serialize;

use super::payload::{
    Check, DownloadStatus, Finished, InterruptedDownload, InterruptedShare, LeftOutEntry, ListedEntry, OfferSummary,
    Sharing, ShownSetting, StopReason, UnsupportedEntry,
};
use crate::{
    code::Pin,
    error::{Error, Kind},
    route::Route,
    text::count,
};

/// An event of a running command. `event` is the first field of the JSON object.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// relay: it is listening.
    RelayListening {
        /// The UDP address.
        addr: String,
        /// The addresses under which other machines can reach it, the best ones first.
        addresses: Vec<String>,
        /// The pin of its key.
        pin: Pin,
    },
    /// relay `--show`: a relay whose certificate is stored on this machine.
    StoredRelay {
        /// The folder of its certificate.
        folder: String,
        /// The UDP address on which it listens when it runs.
        addr: String,
        /// The addresses under which other machines can reach it, the best ones first.
        addresses: Vec<String>,
        /// The pin of its key.
        pin: Pin,
    },
    /// send: the code is valid.
    Sharing(Sharing),
    /// send: some of the paths that are left out, before the code is shown.
    LeftOut {
        /// The paths.
        entries: Vec<LeftOutEntry>,
    },
    /// send: a receiver has accepted.
    DownloadStarted(DownloadStatus),
    /// send: the receiver has acknowledged more bytes.
    DownloadProgress(DownloadStatus),
    /// send: the connection is lost; the download continues when the receiver reconnects.
    DownloadWaiting {
        /// The download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// What happened to the connection.
        reason: String,
    },
    /// send: the receiver has reconnected.
    DownloadResumed(DownloadStatus),
    /// send: the receiver has verified and saved everything.
    DownloadFinished {
        /// The download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// The time since the receiver accepted.
        seconds: f64,
        /// The number of files that the receiver needed.
        files: u64,
    },
    /// send: the receiver's user has declined the offer.
    DownloadDeclined(DownloadStatus),
    /// send: the download has failed.
    DownloadFailed {
        /// The download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// What happened.
        error: String,
        /// The class of the error.
        kind: Kind,
    },
    /// send: a receiver used a wrong code.
    WrongCode {
        /// The number of the attempt, counted with the downloads.
        download: u64,
        /// A generated label for the attempt.
        peer: String,
        /// The guesses left before new receivers must wait.
        guesses_left: u32,
    },
    /// recv: the sender's offer. Another one follows if a restarted sender changes its offer.
    Offer(OfferSummary),
    /// recv: some of the entries that the target's disk cannot hold, in order, without those below them.
    Unsupported {
        /// The entries.
        entries: Vec<UnsupportedEntry>,
    },
    /// recv `--list`: a part of the manifest.
    Entries {
        /// Some of the entries, in order.
        entries: Vec<ListedEntry>,
    },
    /// recv: staged data of an interrupted download is being hashed, before the rest is requested. At most ten per
    /// second.
    Checking {
        /// Bytes hashed so far.
        bytes: u64,
        /// Bytes staged.
        total: u64,
    },
    /// recv: progress of the download. At most ten per second.
    Progress {
        /// Bytes of content so far.
        bytes: u64,
        /// All bytes of content, if known.
        total: Option<u64>,
        /// The rate of the last seconds in bytes per second.
        rate: u64,
        /// The path of the file that is being downloaded.
        file: Option<String>,
    },
    /// recv: the content of a share that is a text.
    Text {
        /// The text.
        text: String,
    },
    /// recv: everything is verified and saved.
    Finished(Finished),
    /// recv: the user has declined the offer.
    Declined,
    /// send, recv: the relay is slow to answer.
    Connecting {
        /// The relay's address.
        relay: String,
    },
    /// recv `--wait`: the sender is not found yet.
    Waiting {
        /// How long the receiver waits in all.
        seconds: u64,
    },
    /// send, recv: the connection is lost; an attempt to reconnect begins.
    Reconnecting {
        /// The number of the attempt, from 1.
        attempt: u64,
        /// What happened to the connection or to the last attempt.
        reason: String,
    },
    /// send, recv: the connection is restored.
    Reconnected {
        /// The number of the attempt that succeeded.
        attempt: u64,
    },
    /// send, recv: after a reconnect, the download continues on another route.
    Path {
        /// send: the number of the download.
        #[serde(skip_serializing_if = "Option::is_none")]
        download: Option<u64>,
        /// The route.
        path: Route,
    },
    /// parts: the interrupted downloads in a folder.
    Parts {
        /// The interrupted downloads.
        parts: Vec<InterruptedDownload>,
    },
    /// parts `--clear`: an interrupted download has been removed.
    Cleared(InterruptedDownload),
    /// shares: the shares in the share store, the most recently used first.
    Shares {
        /// The shares.
        shares: Vec<InterruptedShare>,
    },
    /// shares forget: a share has been forgotten.
    Forgotten(InterruptedShare),
    /// config path: the path of the configuration file.
    ConfigPath {
        /// The path. The file may not exist.
        path: String,
    },
    /// config show: all settings.
    Config {
        /// The path of the configuration file.
        path: String,
        /// Whether the file exists.
        exists: bool,
        /// The settings.
        settings: Vec<ShownSetting>,
    },
    /// doctor: the result of a check.
    Check(Check),
    /// A problem that does not end the command.
    Warning {
        /// A stable word for scripts.
        kind: &'static str,
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// send, relay: it has ended deliberately.
    Stopped {
        /// The reason.
        reason: StopReason,
    },
    /// The command has failed. This is its last event.
    Error {
        /// The class of the error, which decides the exit code.
        kind: Kind,
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
}

impl Event {
    /// Creates a warning with the hint of `error`.
    pub fn warning(kind: &'static str, message: String, error: &Error) -> Self {
        Self::Warning { kind, message, hint: error.hint_text().map(str::to_owned) }
    }

    /// Creates the warning that the display did not keep up with `number` events.
    pub(super) fn lost(number: u64) -> Self {
        let message = format!("{} not shown, because the output was blocked", count(number, "message"));
        Self::Warning { kind: "lost", message, hint: None }
    }

    /// Whether this event makes `older` superfluous.
    pub(super) fn supersedes(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::DownloadProgress(new), Self::DownloadProgress(old)) => new.number == old.number,
            (Self::Progress { .. }, Self::Progress { .. }) | (Self::Checking { .. }, Self::Checking { .. }) => true,
            _ => false,
        }
    }

    /// Whether this event is a result or an end, which must not be lost.
    pub(super) fn is_outcome(&self) -> bool {
        matches!(
            self,
            Self::RelayListening { .. }
                | Self::StoredRelay { .. }
                | Self::Sharing(_)
                | Self::DownloadFinished { .. }
                | Self::DownloadFailed { .. }
                | Self::DownloadDeclined(_)
                | Self::Unsupported { .. }
                | Self::Entries { .. }
                | Self::Finished(_)
                | Self::Declined
                | Self::Stopped { .. }
                | Self::Error { .. }
        )
    }
}

impl From<&Error> for Event {
    fn from(e: &Error) -> Self {
        Self::Error { kind: e.kind(), message: e.message().to_owned(), hint: e.hint_text().map(str::to_owned) }
    }
}
