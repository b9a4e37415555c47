//! Whole ways through this module on real folders. `source`: scanning and reading; `plan`: where things go; `sink`:
//! writing and naming, round trips.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod plan;
mod sink;
mod source;

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{ConflictPolicy, HashProgress, Plan, Sink, Source};
use crate::{
    error::{Error, Result},
    manifest::{ContentCoding, Entry, EntryKind, Manifest, ManifestBuilder, ManifestHeader, Mtime, SafePath, ShareId},
};

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

    /// Writes a file, making the folders above it; gives its path.
    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.folder_of(path);
        fs::write(&path, content).unwrap();
        path
    }

    fn folder(&self, path: &str) -> PathBuf {
        fs::create_dir_all(self.at(path)).unwrap();
        self.at(path)
    }

    fn link(&self, target: &str, path: &str) -> PathBuf {
        let path = self.folder_of(path);
        symlink(target, &path).unwrap();
        path
    }

    fn fifo(&self, path: &str) -> PathBuf {
        let path = self.folder_of(path);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Everything below a folder, sorted.
    fn tree(&self, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.at(path), "", &mut found);
        found.sort();
        found
    }

    fn folder_of(&self, path: &str) -> PathBuf {
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
    Source::scan(paths, None, ShareId::random())
}

fn paths_of(manifest: &Manifest) -> Vec<&str> {
    manifest.entries().iter().map(|e| e.path.as_str()).collect()
}

/// The index of an entry.
fn index_of(manifest: &Manifest, path: &str) -> usize {
    manifest.entries().iter().position(|e| e.path.as_str() == path).unwrap()
}

/// A manifest that no scan made: a folder ends in `/`, a link has `->`, anything else is a file of that many bytes.
fn made_up(entries: &[(&str, u64)]) -> Arc<Manifest> {
    let head = ManifestHeader { share: ShareId::random(), name: "made up".into(), entries: entries.len() as u64 };
    let mut builder = ManifestBuilder::new(head).unwrap();
    for (text, size) in entries {
        let (path, kind) = match (text.strip_suffix('/'), text.split_once("->")) {
            (Some(path), _) => (path, EntryKind::Folder),
            (_, Some((path, target))) => (path, EntryKind::Link { target: target.into() }),
            _ => (*text, EntryKind::File { size: Some(*size), coding: ContentCoding::Identity }),
        };
        let path = SafePath::parse(path).unwrap();
        builder.push(Entry { path, kind, mode: 0o644, mtime: None }).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// Receives every wanted file of `source` into `sink`.
fn copy(source: &Source, plan: Plan) -> Result<Sink> {
    let wanted: Vec<usize> = (0..source.manifest().entries().len())
        .filter(|i| plan.wants(*i) && source.manifest().entries()[*i].is_file())
        .collect();
    let mut sink = Sink::new(plan, &HashProgress::default())?;
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
        sink.finish_file(&file.finish()?)?;
    }
    Ok(sink)
}

fn receive(source: &Source, out: &Path, clash: ConflictPolicy) -> Result<Vec<PathBuf>> {
    copy(source, Plan::new(source.manifest().clone(), Some(out), clash)?)?.publish()
}

fn says(e: &Error, words: &[&str]) {
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
