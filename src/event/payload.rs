//! The fields of events.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    code::Revealed,
    manifest::{LeftOut, LeftOutReason},
    route::Route,
};

/// The version of the fields in `sharing` and `offer`.
pub const SCHEMA: u32 = 1;

/// Why a share or a relay ended deliberately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// `--once`: the download has finished.
    Once,
    /// `--max-downloads`: all downloads have finished.
    MaxDownloads,
    /// `--expire`: the share has expired.
    Expired,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// A share with a valid code.
#[derive(Debug, Clone, Serialize)]
pub struct Sharing {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The share's id.
    pub share: String,
    /// The code that receivers type.
    pub code: Revealed,
    /// The link: code, relay and pin.
    pub link: Revealed,
    /// The share's name.
    pub name: String,
    /// The number of files.
    pub files: u64,
    /// All bytes of content, if known. A pipe, which one receiver can download, has none.
    pub bytes: Option<u64>,
    /// Whether the share is a text.
    pub text: bool,
    /// The number of entries that are left out, for each reason.
    pub left_out: Vec<LeftOutCount>,
    /// The number of entries that the user's options leave out, without those below them.
    pub excluded: u64,
    /// The relay's address.
    pub relay: String,
    /// Whether the relay runs in this process.
    pub embedded: bool,
    /// Whether receivers on the local network find the share by its code.
    #[serde(rename = "lan")]
    pub announced: bool,
    /// When the share expires, in seconds since 1970.
    pub expires: Option<u64>,
}

/// The number of entries that are left out of a share for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutCount {
    /// The reason.
    pub reason: LeftOutReason,
    /// The number of entries.
    pub count: u64,
}

impl LeftOutCount {
    /// Converts the numbers of a manifest.
    pub fn all_of(left_out: &LeftOut) -> Vec<Self> {
        left_out.counts().map(|(reason, count)| Self { reason, count }).collect()
    }
}

/// A path of the sender that is left out of its share.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOutEntry {
    /// The path.
    pub path: String,
    /// The class of the reason.
    pub reason: LeftOutReason,
    /// The reason as a sentence.
    pub detail: String,
}

/// An interrupted download: its staging folder, from which it resumes.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedDownload {
    /// The path of the staging folder.
    pub path: String,
    /// The final name of the first entry that the download will save; `null` if it is unknown.
    pub name: Option<String>,
    /// The number of other entries at the top level.
    pub more: u64,
    /// The number of files that the download will save; 0 if it is unknown.
    pub total_files: u64,
    /// The sum of their sizes, if it is known.
    pub total: Option<u64>,
    /// The bytes staged.
    pub bytes: u64,
    /// The number of staged files, complete or not.
    pub files: u64,
    /// Whether a download is writing to it.
    pub running: bool,
    /// The last write, in seconds since 1970.
    pub modified: Option<u64>,
}

/// A share in the share store.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedShare {
    /// The share's id.
    pub share: String,
    /// The code. It is shown at a terminal; in JSON it appears only in `sharing`.
    #[serde(skip)]
    pub code: Option<Revealed>,
    /// The share's name.
    pub name: String,
    /// The shared paths.
    pub paths: Vec<String>,
    /// The relay, unless it is an embedded one.
    pub relay: Option<String>,
    /// Whether the share is running.
    pub running: bool,
    /// When it was first shared, in seconds since 1970.
    #[serde(rename = "made")]
    pub created: u64,
    /// When it is forgotten unless it is shared again, in seconds since 1970.
    pub expires: u64,
}

/// A setting, and where its value comes from.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSetting {
    /// Its name in the configuration file.
    pub name: &'static str,
    /// Its value as text.
    pub value: String,
    /// `flag`, `variable`, `file`, `build` or `default`.
    pub origin: &'static str,
    /// The option, the variable or the path of the file; a phrase for the others.
    pub source: String,
}

/// The result of one check of this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// The result.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What a problem costs.
    pub cost: Option<String>,
    /// How to mend it.
    pub hint: Option<String>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// It works less well than it could.
    Warning,
    /// It does not work.
    Failed,
}

/// A download as its sender sees it.
#[derive(Debug, Clone, Serialize)]
pub struct DownloadStatus {
    /// The number of the download, from 1.
    #[serde(rename = "download")]
    pub number: u64,
    /// A generated label for the receiver; never an address.
    pub peer: String,
    /// The route of its bytes.
    #[serde(rename = "path")]
    pub route: Route,
    /// Bytes of content so far.
    pub bytes: u64,
    /// All bytes of content, if known.
    pub total: Option<u64>,
}

/// The summary of an offer, which the receiver accepts or declines.
#[derive(Debug, Clone, Serialize)]
pub struct OfferSummary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The share's id.
    pub share: String,
    /// The share's name, as the sender gave it.
    pub name: String,
    /// The number of files.
    pub files: u64,
    /// All bytes of content, if known.
    pub bytes: Option<u64>,
    /// Whether the share is a text.
    pub text: bool,
    /// Bytes staged by an interrupted download.
    pub resumed_bytes: u64,
    /// The number of entries that the sender has left out, for each reason.
    pub left_out: Vec<LeftOutCount>,
    /// The number of entries of the share that the receiver has not selected. Everything else in the offer regards the
    /// selected ones.
    pub unselected: u64,
    /// Whether the offer differs from the one that the user accepted earlier for this download.
    pub changed: bool,
    /// The number of entries that the target's disk cannot hold, with everything below them.
    pub unsupported: u64,
    /// Why it cannot hold them.
    pub limits: Vec<OfferLimit>,
    /// The folder that will hold the names; `null` with `--list`.
    pub target: Option<String>,
    /// The number of files whose name, or the name of a folder above them, begins with a dot.
    pub hidden: u64,
    /// The number of executable files.
    pub executables: u64,
    /// The number of files that may run automatically.
    pub auto_run: u64,
    /// The first ten paths below the top level that may run automatically.
    pub auto_run_paths: Vec<String>,
    /// The number of top-level names that are not in `names`.
    pub more: u64,
    /// The first ten top-level names; hidden, executable and auto-run ones precede the others.
    pub names: Vec<OfferedName>,
}

/// A limit of the target's disk that an offer meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferLimit {
    /// A stable word for scripts.
    pub limit: &'static str,
    /// What the disk cannot hold, as the end of a sentence that begins with a number: `symbolic links`.
    pub description: &'static str,
    /// The number of entries that meet the limit, without those below them.
    pub entries: u64,
    /// The first ten of their paths.
    pub paths: Vec<String>,
}

/// An entry that the target's disk cannot hold.
#[derive(Debug, Clone, Serialize)]
pub struct UnsupportedEntry {
    /// The path.
    pub path: String,
    /// The word of the limit, as in [`OfferLimit`].
    pub limit: &'static str,
}

/// A name that a download creates in its target folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferedName {
    /// The final name.
    pub name: String,
    /// `file` or `folder`.
    pub kind: &'static str,
    /// The action on the name.
    pub action: NameAction,
    /// Whether the name begins with a dot.
    pub hidden: bool,
    /// Whether the entry is an executable file.
    pub executable: bool,
    /// Whether the file may run automatically.
    pub auto_run: bool,
}

/// The action of a download on a name in its target folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameAction {
    /// Creates the entry.
    Create,
    /// Replaces the existing entry.
    Replace,
    /// Adds to the existing folder.
    Merge,
    /// Keeps the existing entry.
    Skip,
    /// Creates nothing, because the disk cannot hold the entry.
    LeaveOut,
    /// Keeps the entry that an earlier download of the share has saved.
    Saved,
}

/// An entry of the manifest as `--list` shows it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ListedEntry {
    /// The path.
    pub path: String,
    /// `file`, `folder` or `link`.
    pub kind: &'static str,
    /// Bytes of content, if known.
    pub size: Option<u64>,
    /// Unix permission bits.
    pub mode: u32,
    /// The modification time, in seconds since 1970.
    pub mtime: Option<i64>,
    /// The target of a link.
    pub link: Option<String>,
}

/// A finished download.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    /// Bytes of content.
    pub bytes: u64,
    /// The time since the user accepted.
    pub seconds: f64,
    /// The paths where the content was saved.
    #[serde(skip)]
    pub paths: Vec<PathBuf>,
    /// The paths as text.
    pub saved: Vec<String>,
    /// The paths in `saved` as bytes of the system's encoding, percent-encoded, if one of them is not Unicode.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub saved_encoded: Vec<String>,
    /// The number of files.
    pub files: u64,
    /// The number of entries that were not downloaded, because they are not selected, they exist or the disk cannot
    /// hold them.
    pub skipped: u64,
    /// The number of entries in `skipped` that are not selected.
    pub unselected: u64,
    /// The number of entries in `skipped` that the disk cannot hold.
    pub unsupported: u64,
    /// The paths of the files that the sender could not send, because they changed or vanished.
    pub incomplete: Vec<String>,
    /// The route of the bytes.
    #[serde(rename = "path")]
    pub route: Route,
}
