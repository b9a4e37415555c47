//! The files that a benchmark sends, their folder, and the check of the copies.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tempfile::TempDir;

use super::{Result, log_lines::log_lines, machine};

/// Bytes that are written to a FIFO at once.
const MB: usize = 1_000_000;

/// The number of small files in each subfolder.
const FILES_PER_FOLDER: u64 = 100;

/// The bytes that all cases need: sources, one round of large copies, and all rounds of small ones.
const REQUIRED_SPACE: u64 = 5_000_000_000;

const MEMORY_FOLDER: &str = "/dev/shm";

/// The folder of a benchmark's files. Removed when it is dropped.
pub(crate) struct BenchFolder {
    dir: TempDir,
    reason: &'static str,
}

impl BenchFolder {
    /// Creates the folder in `QSHARE_BENCH_DIR`, otherwise in memory, otherwise among the system's temporary files.
    pub(crate) fn create() -> Result<Self> {
        let (base, reason) = match env::var_os("QSHARE_BENCH_DIR") {
            Some(dir) => (PathBuf::from(dir), "from QSHARE_BENCH_DIR"),
            None if memory_has_space() => (PathBuf::from(MEMORY_FOLDER), "in memory: no disk is measured"),
            None => (env::temp_dir(), "possibly on a disk: memory has too little space"),
        };
        let dir = tempfile::Builder::new()
            .prefix("qshare-bench-")
            .tempdir_in(&base)
            .map_err(|e| format!("cannot create a folder in {}: {e}", base.display()))?;
        Ok(Self { dir, reason })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} ({})", self.path().display(), self.reason)
    }
}

fn memory_has_space() -> bool {
    let has_memory = machine::available_memory().is_some_and(|bytes| bytes > 2 * REQUIRED_SPACE);
    #[cfg(target_os = "linux")]
    let has_space =
        rustix::fs::statvfs(MEMORY_FOLDER).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) > REQUIRED_SPACE);
    #[cfg(not(target_os = "linux"))]
    let has_space = false;
    has_memory && has_space
}

/// The files that a benchmark sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload {
    /// One file of this many random bytes.
    File(u64),
    /// One file with this many bytes of log lines.
    Log(u64),
    /// This many random bytes, which a thread writes to a FIFO.
    Pipe(u64),
    /// A folder with subfolders, which hold `count` files of `each` bytes.
    Files { count: u64, each: u64 },
}

impl Payload {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::File(bytes) | Self::Log(bytes) | Self::Pipe(bytes) => bytes,
            Self::Files { count, each } => count * each,
        }
    }

    fn files(self) -> u64 {
        match self {
            Self::File(_) | Self::Log(_) | Self::Pipe(_) => 1,
            Self::Files { count, .. } => count,
        }
    }

    /// Creates the payload at `path`, unless it exists already, and returns the path.
    pub(crate) fn create(self, path: PathBuf) -> Result<PathBuf> {
        if let Self::Pipe(bytes) = self {
            return write_to_fifo(path, bytes);
        }
        if path.exists() {
            return Ok(path);
        }
        match self {
            Self::Pipe(_) => {}
            Self::File(bytes) => write_noise(&path, bytes)?,
            Self::Log(bytes) => fs::write(&path, log_lines(bytes as usize))?,
            Self::Files { count, each } => {
                for i in 0..count {
                    let folder = path.join(format!("{:03}", i / FILES_PER_FOLDER));
                    if i % FILES_PER_FOLDER == 0 {
                        fs::create_dir_all(&folder)?;
                    }
                    write_noise(&folder.join(format!("file {i:05}.bin")), each)?;
                }
            }
        }
        Ok(path)
    }

    /// Checks that `copy` has the number of files and bytes that were sent.
    pub(crate) fn check_size(self, copy: &Path) -> Result<()> {
        let mut found = (0, 0);
        visit_files(copy, &mut |path| {
            found = (found.0 + 1, found.1 + fs::metadata(path)?.len());
            Ok(())
        })?;
        if found == (self.files(), self.bytes()) {
            return Ok(());
        }
        Err(format!("{} files with {} bytes arrived", found.0, found.1).into())
    }
}

/// Creates a FIFO unless it exists, and starts to write random bytes to it.
fn write_to_fifo(path: PathBuf, bytes: u64) -> Result<PathBuf> {
    if !path.exists() && !Command::new("mkfifo").arg(&path).status()?.success() {
        return Err(format!("cannot create the FIFO {}", path.display()).into());
    }
    let fifo = path.clone();
    thread::spawn(move || {
        let mut part = vec![0; MB];
        blake3::Hasher::new().finalize_xof().fill(&mut part);
        let Ok(mut fifo) = File::options().write(true).open(fifo) else { return };
        // Fails if the sender ends early, which the benchmark reports.
        let _ = (0..bytes.div_ceil(MB as u64)).try_for_each(|_| fifo.write_all(&part));
    });
    Ok(path)
}

/// Checks names and content of `copy` against the source by BLAKE3.
pub(crate) fn check_content(source: &Path, copy: &Path) -> Result<()> {
    if digest(source)? == digest(copy)? { Ok(()) } else { Err("the copy differs from the source".into()) }
}

fn digest(root: &Path) -> io::Result<blake3::Hash> {
    let mut all = blake3::Hasher::new();
    visit_files(root, &mut |path| {
        let mut one = blake3::Hasher::new();
        one.update_reader(File::open(path)?)?;
        all.update(path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes());
        all.update(one.finalize().as_bytes());
        Ok(())
    })?;
    Ok(all.finalize())
}

/// Visits all files below `path`, or `path` itself, in the order of their names.
fn visit_files(path: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if !path.is_dir() {
        return visit(path);
    }
    let mut children = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    children.sort();
    children.iter().try_for_each(|path| visit_files(path, visit))
}

/// Writes pseudorandom bytes, which do not compress and differ from file to file.
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
