//! What is sent, made once, and whether it arrived.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Result, machine};

/// Files in a folder of small files that share a folder.
const FILES_IN_A_FOLDER: u64 = 100;

/// Room that all cases need: sources, one round of large copies, and all rounds of small ones.
const ROOM: u64 = 5_000_000_000;

/// Where all files of a run live; removed when it is dropped.
pub(super) struct Folder {
    dir: TempDir,
    why: &'static str,
}

impl Folder {
    /// In `QSHARE_BENCH_DIR`, else in memory, else where the system keeps temporary files.
    pub(super) fn make() -> Result<Self> {
        let (base, why) = match env::var_os("QSHARE_BENCH_DIR") {
            Some(dir) => (PathBuf::from(dir), "as QSHARE_BENCH_DIR says"),
            None if memory_has_room() => (PathBuf::from(MEMORY), "memory: no disk is in the figures"),
            None => (env::temp_dir(), "a disk, maybe: memory has no room"),
        };
        let dir = tempfile::Builder::new()
            .prefix("qshare-bench-")
            .tempdir_in(&base)
            .map_err(|e| format!("cannot make a folder in {}: {e}", base.display()))?;
        Ok(Self { dir, why })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.path().display(), self.why)
    }
}

const MEMORY: &str = "/dev/shm";

fn memory_has_room() -> bool {
    let free_memory = machine::free_memory().is_some_and(|free| free > 2 * ROOM);
    #[cfg(target_os = "linux")]
    let room = rustix::fs::statvfs(MEMORY).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) > ROOM);
    #[cfg(not(target_os = "linux"))]
    let room = false;
    free_memory && room
}

/// What a case sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// One file of so many bytes.
    File(u64),
    /// A folder of folders with so many files of `each` bytes.
    Files { count: u64, each: u64 },
}

impl Load {
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::File(bytes) => bytes,
            Self::Files { count, each } => count * each,
        }
    }

    pub(super) fn files(self) -> u64 {
        match self {
            Self::File(_) => 1,
            Self::Files { count, .. } => count,
        }
    }

    /// The path of the load, made of bytes without a pattern where it is not there yet.
    pub(super) fn make(self, path: PathBuf) -> Result<PathBuf> {
        if path.exists() {
            return Ok(path);
        }
        match self {
            Self::File(bytes) => write_noise(&path, bytes)?,
            Self::Files { count, each } => {
                for i in 0..count {
                    let folder = path.join(format!("{:03}", i / FILES_IN_A_FOLDER));
                    if i % FILES_IN_A_FOLDER == 0 {
                        fs::create_dir_all(&folder)?;
                    }
                    write_noise(&folder.join(format!("file {i:05}.bin")), each)?;
                }
            }
        }
        Ok(path)
    }

    /// Checks that `copy` has as many files and bytes as was sent.
    pub(super) fn check_size(self, copy: &Path) -> Result<()> {
        let mut found = (0, 0);
        each_file(copy, &mut |path| {
            found = (found.0 + 1, found.1 + fs::metadata(path)?.len());
            Ok(())
        })?;
        if found == (self.files(), self.bytes()) {
            return Ok(());
        }
        Err(format!("{} files with {} bytes arrived", found.0, found.1).into())
    }
}

/// Checks names and content of `copy` against what was sent, by BLAKE3.
pub(super) fn check_content(sent: &Path, copy: &Path) -> Result<()> {
    if digest(sent)? == digest(copy)? { Ok(()) } else { Err("what arrived is not what was sent".into()) }
}

fn digest(root: &Path) -> io::Result<blake3::Hash> {
    let mut all = blake3::Hasher::new();
    each_file(root, &mut |path| {
        let mut one = blake3::Hasher::new();
        one.update_reader(File::open(path)?)?;
        all.update(path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes());
        all.update(one.finalize().as_bytes());
        Ok(())
    })?;
    Ok(all.finalize())
}

/// Visits all files below `path`, or `path` itself, in the order of their names.
fn each_file(path: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if !path.is_dir() {
        return visit(path);
    }
    let mut below = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    below.sort();
    below.iter().try_for_each(|path| each_file(path, visit))
}

/// Bytes that do not compress and differ from file to file.
fn write_noise(path: &Path, mut bytes: u64) -> io::Result<()> {
    let mut noise = blake3::Hasher::new().update(path.as_os_str().as_encoded_bytes()).finalize_xof();
    let mut buffer = vec![0; bytes.min(1024 * 1024) as usize];
    let mut file = File::create(path)?;
    while bytes > 0 {
        let part = &mut buffer[..bytes.min(1024 * 1024) as usize];
        noise.fill(part);
        file.write_all(part)?;
        bytes -= part.len() as u64;
    }
    Ok(())
}
