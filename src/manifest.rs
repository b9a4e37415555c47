//! What a share holds: entries with paths that are safe by construction.
//!
//! Both ends build a [`Manifest`] through a [`ManifestBuilder`], the sender from a scan and the receiver from the wire, so
//! that the same rules hold for both: every path is a [`SafePath`], no path comes twice, and the parent of every entry
//! is a folder that was listed before it.

mod path;

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use crate::text::{is_bidi_control, visible};

pub use self::path::{PathError, SafePath};

/// More entries than this are refused by both ends: a manifest is held in memory.
pub const MAX_ENTRIES: u64 = 1_000_000;

/// The most bytes that all paths and targets of links may have together, for the same reason: a million of them at
/// their longest would take 8 GB.
const MOST_TEXT: usize = 128 * 1024 * 1024;

/// The longest name of a share in bytes, as for a file.
const LONGEST_NAME: usize = 255;

/// The longest target of a link in bytes.
const LONGEST_TARGET: usize = 4_000;

/// The identity of a share: made at random by the sender, the same for all its receivers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShareId([u8; 16]);

impl ShareId {
    /// A fresh identity.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entry as it is on the wire: its path is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawEntry {
    /// Where the other side wants it.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// When it was last modified.
    pub mtime: Option<Mtime>,
}

impl RawEntry {
    /// Checks the path.
    ///
    /// # Errors
    /// [`ManifestError::Path`], with the path made visible.
    pub fn parse(self) -> Result<Entry, ManifestError> {
        let path = SafePath::parse(&self.path).map_err(|e| ManifestError::Path(visible(&self.path), e))?;
        Ok(Entry { path, kind: self.kind, mode: self.mode, mtime: self.mtime })
    }
}

impl From<&Entry> for RawEntry {
    fn from(entry: &Entry) -> Self {
        Self { path: entry.path.as_str().to_owned(), kind: entry.kind.clone(), mode: entry.mode, mtime: entry.mtime }
    }
}

/// One file, folder or link of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it belongs below the receiver's target.
    pub path: SafePath,
    /// What it is.
    pub kind: EntryKind,
    /// Unix permission bits of the source (0o777); what the receiver makes of them is its own decision.
    pub mode: u32,
    /// When it was last modified, where the source knows.
    pub mtime: Option<Mtime>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its size in bytes; `None` where it is known only at the end (standard input).
        size: Option<u64>,
        /// How its bytes are coded on the way.
        coding: ContentCoding,
    },
    /// A folder.
    Folder,
    /// A symbolic link to another place in the same share.
    Link {
        /// What it points to, relative to the folder that holds it.
        target: String,
    },
}

/// How the bytes of a file are coded on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentCoding {
    /// As they are.
    Identity,
}

/// A time of modification: seconds and nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mtime {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999 on top of them.
    pub nanos: u32,
}

impl Entry {
    /// Bytes of content, where known: 0 for folders and links.
    pub fn size(&self) -> Option<u64> {
        match self.kind {
            EntryKind::File { size, .. } => size,
            EntryKind::Folder | EntryKind::Link { .. } => Some(0),
        }
    }

    /// What a link points to.
    pub fn target(&self) -> Option<&str> {
        match &self.kind {
            EntryKind::Link { target } => Some(target),
            EntryKind::File { .. } | EntryKind::Folder => None,
        }
    }

    /// Whether this is a file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, EntryKind::File { .. })
    }
}

/// What stands before the entries: enough to refuse a manifest before its entries are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHeader {
    /// The share's identity.
    pub share: ShareId,
    /// The share's name, for people; not a path.
    pub name: String,
    /// How many entries follow.
    pub entries: u64,
}

/// The entries of a share, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    share: ShareId,
    name: String,
    entries: Vec<Entry>,
    files: u64,
    bytes: Option<u64>,
}

impl Manifest {
    /// The share's identity.
    pub fn share(&self) -> ShareId {
        self.share
    }

    /// The share's name, for people. It may hold any character: show it through [`crate::text::visible`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All entries; parents stand before what they hold.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entries are files.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// The sum of all sizes; `None` where one is not known yet.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// What goes before the entries on the wire.
    pub fn header(&self) -> ManifestHeader {
        ManifestHeader { share: self.share, name: self.name.clone(), entries: self.entries.len() as u64 }
    }
}

/// Puts a manifest together and refuses what no honest sender makes.
#[derive(Debug)]
pub struct ManifestBuilder {
    head: ManifestHeader,
    entries: Vec<Entry>,
    kinds: HashMap<SafePath, bool>,
    /// Bytes of all paths and targets.
    text: usize,
    files: u64,
    bytes: Option<u64>,
}

impl ManifestBuilder {
    /// Begins a manifest that will have exactly `head.entries` entries.
    ///
    /// # Errors
    /// More than [`MAX_ENTRIES`], or a name longer than 255 bytes.
    pub fn new(head: ManifestHeader) -> Result<Self, ManifestError> {
        if head.entries > MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries(head.entries));
        }
        if head.name.is_empty() || head.name.len() > LONGEST_NAME {
            return Err(ManifestError::ShareName);
        }
        Ok(Self { head, entries: Vec::new(), kinds: HashMap::new(), text: 0, files: 0, bytes: Some(0) })
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// Whatever [`ManifestError`] names.
    pub fn push(&mut self, mut entry: Entry) -> Result<(), ManifestError> {
        if self.entries.len() as u64 == self.head.entries {
            return Err(ManifestError::WrongCount);
        }
        self.text += entry.path.as_str().len() + entry.target().map_or(0, str::len);
        if self.text > MOST_TEXT {
            return Err(ManifestError::NamesTooLong);
        }
        if let Some(parent) = entry.path.parent()
            && self.kinds.get(parent.as_str()) != Some(&true)
        {
            return Err(ManifestError::NoParent(entry.path));
        }
        if let EntryKind::Link { target } = &entry.kind
            && !link_stays_inside(&entry.path, target)
        {
            return Err(ManifestError::LinkTarget(entry.path));
        }
        if self.kinds.insert(entry.path.clone(), entry.kind == EntryKind::Folder).is_some() {
            return Err(ManifestError::Duplicate(entry.path));
        }
        entry.mode &= 0o777;
        self.files += u64::from(entry.is_file());
        self.bytes = match (self.bytes, entry.size()) {
            (Some(sum), Some(size)) => Some(sum.checked_add(size).ok_or(ManifestError::SizeOverflow)?),
            _ => None,
        };
        self.entries.push(entry);
        Ok(())
    }

    /// How many entries are there.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether all entries are there.
    pub fn is_full(&self) -> bool {
        self.entries.len() as u64 == self.head.entries
    }

    /// The manifest.
    ///
    /// # Errors
    /// [`ManifestError::WrongCount`] where entries are missing.
    pub fn finish(self) -> Result<Manifest, ManifestError> {
        if !self.is_full() {
            return Err(ManifestError::WrongCount);
        }
        let ManifestHeader { share, name, .. } = self.head;
        Ok(Manifest { share, name, entries: self.entries, files: self.files, bytes: self.bytes })
    }
}

/// Whether a link at `path` with this target stays within the top-level folder that holds it.
///
/// `..` is allowed only before any name: after one, a name that is itself a link could lead elsewhere than the text
/// says. So every link ends below the top-level folder, and by induction every chain of links does.
pub fn link_stays_inside(path: &SafePath, target: &str) -> bool {
    if target.is_empty()
        || target.len() > LONGEST_TARGET
        || target.starts_with(['/', '\\'])
        || target.chars().any(|c| c.is_control() || is_bidi_control(c))
        || path::has_drive(target)
    {
        return false;
    }
    let folders_above = path.depth() - 1;
    let mut climbed = 0;
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if named => return false,
            ".." => climbed += 1,
            _ => named = true,
        }
    }
    climbed < folders_above
}

/// Why something is not a manifest. Each is a refusal of the whole share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More entries than [`MAX_ENTRIES`].
    #[error("it has {0} entries; {MAX_ENTRIES} is the most")]
    TooManyEntries(u64),
    /// Paths and targets that would not fit into memory.
    #[error("its names are longer than {} bytes in all", MOST_TEXT)]
    NamesTooLong,
    /// Entries missing, or more than announced.
    #[error("the number of entries is not the one announced")]
    WrongCount,
    /// One part after the other that has no entry in it.
    #[error("it has parts without entries and would never end")]
    EmptyPart,
    /// An empty name or one of more than 255 bytes.
    #[error("the name of the share is empty or too long")]
    ShareName,
    /// A path that could lead out of the target folder or that no screen can show.
    #[error("the name “{0}” is not allowed: {1}")]
    Path(String, PathError),
    /// The parent is missing, comes later, or is not a folder.
    #[error("“{0}” does not lie in a folder of the share")]
    NoParent(SafePath),
    /// The same path twice.
    #[error("“{0}” is listed twice")]
    Duplicate(SafePath),
    /// A link that leads out of the share.
    #[error("the link “{0}” leads out of the share")]
    LinkTarget(SafePath),
    /// The sizes do not fit 64 bits.
    #[error("the sizes add up to more than 64 bits hold")]
    SizeOverflow,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(entries: u64) -> ManifestBuilder {
        ManifestBuilder::new(ManifestHeader { share: ShareId::random(), name: "x".into(), entries }).unwrap()
    }

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: SafePath::parse(path).unwrap(), kind, mode: 0o4755, mtime: None }
    }

    fn file(path: &str, size: u64) -> Entry {
        entry(path, EntryKind::File { size: Some(size), coding: ContentCoding::Identity })
    }

    #[test]
    fn an_honest_tree_passes_and_loses_its_setuid_bits() {
        let mut b = builder(4);
        b.push(entry("a", EntryKind::Folder)).unwrap();
        b.push(file("a/x", 3)).unwrap();
        b.push(file("a/X", 4)).unwrap();
        b.push(entry("a/l", EntryKind::Link { target: "x".into() })).unwrap();
        let m = b.finish().unwrap();
        assert_eq!((m.files(), m.bytes()), (2, Some(7)));
        assert_eq!(m.entries()[1].mode, 0o755);
    }

    #[test]
    fn lies_are_refused() {
        let path = |p: &str| SafePath::parse(p).unwrap();
        assert_eq!(builder(1).push(file("a/x", 0)), Err(ManifestError::NoParent(path("a/x"))));
        let mut b = builder(9);
        b.push(file("a", 0)).unwrap();
        assert_eq!(b.push(file("a/x", 0)), Err(ManifestError::NoParent(path("a/x"))));
        assert_eq!(b.push(entry("a", EntryKind::Folder)), Err(ManifestError::Duplicate(path("a"))));
        let mut b = builder(2);
        b.push(file("a", u64::MAX)).unwrap();
        assert_eq!(b.push(file("b", 1)), Err(ManifestError::SizeOverflow));
        let mut b = builder(1);
        b.push(file("a", 0)).unwrap();
        assert_eq!(b.push(file("b", 0)), Err(ManifestError::WrongCount));
        assert_eq!(builder(1).finish(), Err(ManifestError::WrongCount));
        let head = ManifestHeader { share: ShareId::random(), name: "x".into(), entries: 10_000_000 };
        assert_eq!(ManifestBuilder::new(head).unwrap_err(), ManifestError::TooManyEntries(10_000_000));
    }

    #[test]
    fn names_without_end_are_refused() {
        let mut b = builder(MAX_ENTRIES);
        let long = |n: usize| format!("{n:0>255}");
        let refused = (0..MAX_ENTRIES as usize).find_map(|n| b.push(file(&long(n), 0)).err().map(|e| (n, e)));
        assert_eq!(refused, Some((MOST_TEXT / 255, ManifestError::NamesTooLong)));
    }

    #[test]
    fn links_stay_inside() {
        let inside = |path: &str, target| link_stays_inside(&SafePath::parse(path).unwrap(), target);
        assert!(inside("a/l", "b"));
        assert!(inside("a/b/l", "./../c/d"));
        for out in ["..", "../b", "/etc/shadow", "b/../..", "c/..", "\\\\srv\\x", "C:\\x", "", "a\nb"] {
            assert!(!inside("a/l", out), "{out}");
        }
        assert!(!inside("a/b/l", "../../x"));
        assert!(!inside("l", "x"));
    }
}
