//! Tests of this module on real folders: from a scan to the final names.
//!
//! - `scan`: which files are shared, and which paths are refused
//! - `source`: reading files that may change
//! - `plan`: the target, names and space
//! - `limits`: what a disk cannot hold of a share
//! - `conflicts`: targets that already exist
//! - `sink`: writing and publishing
//! - `staging`: the staging folder, its lock, and other processes that interfere with it
//! - `output`: content that is written to standard output
//! - `resume`: content that an interrupted download has staged
//! - `journal`: entries that an interrupted download has already published

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conflicts;
mod journal;
mod limits;
mod output;
mod plan;
mod resume;
mod scan;
mod sink;
mod source;
mod staging;

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{
    ConflictPolicy, ContentSink, EarlierDownload, GroupHash, HashProgress, Plan, ScanOptions, Sink, Source,
    staging_layout::staging_name,
};
use crate::{
    error::{Error, Result},
    manifest::{Entry, EntryKind, Manifest, ManifestBuilder, ManifestHeader, Mtime, SafePath, ShareId, ShareKind},
};

/// The groups that these tests hash at once.
const PAGE: usize = 2;

/// The content of the small files that these tests receive.
const HELLO: &[u8] = b"hello";

/// A folder for one test: `src` to share from, `out` to receive in.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.at("src")).unwrap();
        fs::create_dir(home.at("out")).unwrap();
        home
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file, creating the folders above it; returns its path.
    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.create_parent(path);
        fs::write(&path, content).unwrap();
        path
    }

    fn folder(&self, path: &str) -> PathBuf {
        fs::create_dir_all(self.at(path)).unwrap();
        self.at(path)
    }

    fn link(&self, target: &str, path: &str) -> PathBuf {
        let path = self.create_parent(path);
        symlink(target, &path).unwrap();
        path
    }

    fn fifo(&self, path: &str) -> PathBuf {
        let path = self.create_parent(path);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Returns the paths of everything below a folder, sorted.
    fn tree(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.at(path), "", &mut found);
        found.sort();
        found
    }

    /// Returns the path of the staging folder in `out`.
    fn staging(&self, manifest: &Manifest) -> PathBuf {
        self.at("out").join(staging_name(manifest, None))
    }

    fn create_parent(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

fn list(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{path}/"), found);
        }
        found.push(path);
    }
}

fn scan(paths: &[PathBuf]) -> Result<Source> {
    Source::scan(paths, None, ShareId::random(), ScanOptions::default())
}

fn paths_of(manifest: &Manifest) -> Vec<String> {
    manifest.entries().map(|e| e.path.into_string()).collect()
}

/// Returns the index of an entry.
fn index_of(manifest: &Manifest, path: &str) -> usize {
    manifest.entries().position(|e| e.path.as_str() == path).unwrap()
}

/// Reads a file of at most 1,000 bytes.
fn read_all(source: &Source, index: usize) -> Result<Vec<u8>> {
    let mut file = source.open(index)?;
    let mut content = vec![0; 1_000];
    let n = file.read(&mut content)?;
    content.truncate(n);
    file.finish(&HashProgress::default())?;
    Ok(content)
}

/// Builds a manifest without a scan: `a/` is a folder, `a->b` a link, anything else a file of the given size.
fn manifest(entries: &[(&str, u64)]) -> Arc<Manifest> {
    let head = ManifestHeader {
        share: ShareId::random(),
        name: "test".into(),
        entries: entries.len() as u64,
        holes: 0,
        kind: ShareKind::Files,
    };
    let mut builder = ManifestBuilder::new(head).unwrap();
    for (text, size) in entries {
        let (path, kind) = match (text.strip_suffix('/'), text.split_once("->")) {
            (Some(path), _) => (path, EntryKind::Folder),
            (_, Some((path, target))) => (path, EntryKind::Link { target: target.into() }),
            _ => (*text, EntryKind::File { size: Some(*size) }),
        };
        let path = SafePath::parse(path).unwrap();
        builder.push(Entry { path, kind, mode: 0o755, mtime: None }).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// Plans a download to `out`.
fn plan(home: &Home, manifest: &Arc<Manifest>, policy: ConflictPolicy) -> Result<Plan> {
    Plan::new(Arc::clone(manifest), Some(&home.at("out")), policy)
}

/// Starts a download to `out`, or resumes an interrupted one.
fn start(home: &Home, manifest: &Arc<Manifest>, policy: ConflictPolicy) -> Result<Sink> {
    Sink::new(plan(home, manifest, policy)?)
}

/// Returns the staged files in the order of their entries, each with the hashes of its groups.
fn staged_groups(sink: &Sink) -> Vec<(usize, Vec<GroupHash>)> {
    let mut staged = BTreeMap::<usize, Vec<GroupHash>>::new();
    let mut hasher = sink.hash_staged().unwrap().unwrap();
    loop {
        let pages = hasher.next_pages(PAGE, &HashProgress::default()).unwrap();
        if pages.is_empty() {
            return staged.into_iter().collect();
        }
        for page in pages {
            staged.entry(page.index).or_default().extend(page.groups);
        }
    }
}

fn hash(data: &[u8]) -> [u8; 32] {
    *blake3::hash(data).as_bytes()
}

/// Receives a file whose content is [`HELLO`].
fn receive_hello(sink: &mut Sink, index: usize) -> Result<()> {
    sink.start_file(index, 0)?;
    sink.write(HELLO)?;
    sink.finish_file(&hash(HELLO))
}

/// Receives every wanted file of `source`.
fn receive_files(source: &Source, plan: Plan) -> Result<Sink> {
    let wanted: Vec<usize> = (0..source.manifest().len())
        .filter(|i| plan.wants(*i) && source.manifest().row(*i).unwrap().is_file())
        .collect();
    let mut sink = Sink::new(plan)?;
    let mut buf = vec![0; 1_000];
    for index in wanted {
        let mut file = source.open(index)?;
        sink.start_file(index, 0)?;
        loop {
            match file.read(&mut buf)? {
                0 => break,
                n => sink.write(&buf[..n])?,
            }
        }
        sink.finish_file(&file.finish(&HashProgress::default())?)?;
    }
    Ok(sink)
}

/// Receives a whole share into `out`; returns the final paths.
fn receive(home: &Home, source: &Source, policy: ConflictPolicy) -> Result<Vec<PathBuf>> {
    receive_files(source, plan(home, source.manifest(), policy)?)?.publish().map(|published| published.paths)
}

/// Asserts that the message of an error contains all `words`.
#[track_caller]
fn assert_says(e: &Error, words: &[&str]) {
    for word in words {
        assert!(e.message().contains(word), "“{word}” is not in: {e}");
    }
}

fn set_mtime(path: &Path, seconds: u64, nanos: u32) {
    let time = UNIX_EPOCH + Duration::new(seconds, nanos);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn mtime(path: &Path) -> Mtime {
    let since = fs::symlink_metadata(path).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    Mtime { seconds: since.as_secs().cast_signed(), nanos: since.subsec_nanos() }
}
