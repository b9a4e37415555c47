//! What a running command reports. One [`Event`] is one line of `--json`, or what the terminal makes of it.
//!
//! The names of events and fields are a promise to scripts; consumers ignore what they do not know.

use serde::Serialize;

use crate::{
    code::{Pin, Revealed},
    error::{Error, Kind},
};

/// The version of the field names in `sharing` and `offer`.
pub const SCHEMA: u32 = 1;

/// The way a download's bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through the relay.
    Relay,
}

/// Why a share or a relay ended on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// `--once`: the one download is done.
    Once,
    /// `--max-downloads`: all are done.
    MaxDownloads,
    /// `--expire`: the time is up.
    Expired,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// One thing that happened. `event` is the first field of its JSON form.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// relay: it listens.
    RelayListening {
        /// The UDP address.
        addr: String,
        /// The pin of its key.
        pin: Pin,
    },
    /// send: the code is good.
    Sharing(Sharing),
    /// send: a receiver accepted.
    DownloadStarted(DownloadStatus),
    /// send: more of it was acknowledged.
    DownloadProgress(DownloadStatus),
    /// send: its line is dead; it goes on when the receiver has another.
    DownloadWaiting {
        /// Which download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// What happened to the line.
        reason: String,
    },
    /// send: it has another line.
    DownloadResumed(DownloadStatus),
    /// send: the receiver has verified and named everything.
    DownloadFinished {
        /// Which download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// From the acceptance to the end.
        seconds: f64,
    },
    /// send: it ended in another way.
    DownloadFailed {
        /// Which download.
        #[serde(flatten)]
        download: DownloadStatus,
        /// What happened.
        error: String,
        /// Its class.
        kind: Kind,
    },
    /// send: somebody tried a wrong code.
    WrongCode {
        /// The number of the attempt among the downloads.
        download: u64,
        /// A label made up for this attempt.
        peer: String,
        /// Guesses left before further receivers have to wait.
        guesses_left: u32,
    },
    /// recv: what the sender offers.
    Offer(OfferSummary),
    /// recv `--list`: a part of the manifest.
    Entries {
        /// Some of the entries, in order.
        entries: Vec<ListedEntry>,
    },
    /// recv: what an earlier download left is hashed before the rest is asked for; at most ten a second.
    Checking {
        /// Bytes that are hashed.
        bytes: u64,
        /// Bytes that are here.
        total: u64,
    },
    /// recv: at most ten a second.
    Progress {
        /// Bytes of content so far.
        bytes: u64,
        /// Bytes of content in all, where known.
        total: Option<u64>,
    },
    /// recv: everything is verified and named.
    Finished(Finished),
    /// send, recv: a relay has not answered at once.
    Connecting {
        /// Which.
        relay: String,
    },
    /// send, recv: the line is dead, and another one is tried for.
    Reconnecting {
        /// Which try this is, from 1.
        attempt: u64,
        /// What happened to the line, or to the last try.
        reason: String,
    },
    /// send, recv: there is a line again.
    Reconnected {
        /// Which try it was.
        attempt: u64,
    },
    /// parts: what downloads have left behind.
    Parts {
        /// Each of them.
        parts: Vec<InterruptedDownload>,
    },
    /// parts clear: it is gone.
    Cleared(InterruptedDownload),
    /// shares: what is kept, the last used first.
    Shares {
        /// Each of them.
        shares: Vec<InterruptedShare>,
    },
    /// shares forget: it is kept no more.
    Forgotten(InterruptedShare),
    /// Something to know that does not end the command.
    Warning {
        /// A stable word for scripts.
        kind: &'static str,
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// send, relay: ended on purpose.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// The last line of a command that failed.
    Error {
        /// The class, which is the exit code.
        kind: Kind,
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
}

/// The share that a code now stands for.
#[derive(Debug, Clone, Serialize)]
pub struct Sharing {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The share's identity.
    pub share: String,
    /// What to read to the receivers.
    pub code: Revealed,
    /// Code, relay and pin in one.
    pub link: Revealed,
    /// The share's name.
    pub name: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it, where known.
    pub bytes: Option<u64>,
    /// The relay's address.
    pub relay: String,
    /// Whether that relay runs inside this process.
    pub embedded: bool,
    /// When the share ends by itself: seconds since 1970.
    pub expires: Option<u64>,
}

/// A staging folder: what a download goes on with when it is started again.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedDownload {
    /// Where it is.
    pub path: String,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files in it, complete or not.
    pub files: u64,
    /// Whether a download is writing there.
    pub running: bool,
    /// When something was last written there: seconds since 1970.
    pub modified: Option<u64>,
}

/// A share that is kept for its sender to come back.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedShare {
    /// The share's identity.
    pub share: String,
    /// What receivers type, for its sender alone: JSON has it only where it is made.
    #[serde(skip)]
    pub code: Option<Revealed>,
    /// The share's name.
    pub name: String,
    /// What is shared.
    pub paths: Vec<String>,
    /// The relay, where it is not one of the sender's own.
    pub relay: Option<String>,
    /// Whether it is being shared now.
    pub running: bool,
    /// When it was first shared: seconds since 1970.
    pub made: u64,
    /// When it is forgotten if it is not shared again.
    pub expires: u64,
}

/// One download of a share, as its sender sees it.
#[derive(Debug, Clone, Serialize)]
pub struct DownloadStatus {
    /// Its number, from 1.
    pub download: u64,
    /// A label made up for it; never an address.
    pub peer: String,
    /// The way it takes.
    pub path: Route,
    /// Bytes of content so far.
    pub bytes: u64,
    /// Bytes of content in all, where known.
    pub total: Option<u64>,
}

/// What a receiver is asked to accept.
#[derive(Debug, Clone, Serialize)]
pub struct OfferSummary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The share's identity.
    pub share: String,
    /// The share's name, as the sender gave it.
    pub name: String,
    /// Files in it.
    pub files: u64,
    /// Bytes in it, where known.
    pub bytes: Option<u64>,
    /// Bytes that are here already.
    pub resumed_bytes: u64,
    /// Names that begin with a dot, for the person who decides.
    #[serde(skip)]
    pub hidden: u64,
    /// Files that may be executed, for the person who decides.
    #[serde(skip)]
    pub executables: u64,
}

/// One entry as `--list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ListedEntry {
    /// Its path.
    pub path: String,
    /// `file`, `folder` or `link`.
    pub kind: &'static str,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// Unix permission bits.
    pub mode: u32,
    /// Modification, seconds since 1970.
    pub mtime: Option<i64>,
    /// What a link points to.
    pub link: Option<String>,
}

/// A download that is whole.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    /// Bytes of content.
    pub bytes: u64,
    /// From the acceptance to the end.
    pub seconds: f64,
    /// Where it is now.
    pub saved: Vec<String>,
    /// Files in it.
    pub files: u64,
    /// The way it took.
    pub path: Route,
}

impl Event {
    /// A warning, with the next step that an error names.
    pub fn warning(kind: &'static str, message: String, of: &Error) -> Self {
        Self::Warning { kind, message, hint: of.hint_text().map(str::to_owned) }
    }
}

impl From<&Error> for Event {
    fn from(e: &Error) -> Self {
        Self::Error { kind: e.kind(), message: e.message().to_owned(), hint: e.hint_text().map(str::to_owned) }
    }
}
