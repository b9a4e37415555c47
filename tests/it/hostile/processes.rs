//! Real senders and receivers, to be set against what runs in the test's own process.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use qshare::code::Code;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::{assert_only_staged, peak_memory};

/// Whatever is waited for happens within this time, on a machine as busy as can be.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How often the memory of a running command is measured.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("in vain: {what}"),
    }
}

/// Bytes without a pattern, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A machine with a home of its own and folders to send from and to download into.
pub(crate) struct TestMachine {
    root: TempDir,
    downloads: AtomicUsize,
}

impl TestMachine {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for folder in ["home", "shared", "out"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, downloads: AtomicUsize::new(0) }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A file to share.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.path().join("shared").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// An empty folder to download into.
    pub(crate) fn target(&self) -> PathBuf {
        let n = self.downloads.fetch_add(1, Ordering::Relaxed);
        let path = self.root.path().join("out").join(n.to_string());
        fs::create_dir(&path).unwrap();
        path
    }

    fn command(&self) -> Command {
        let home = self.root.path().join("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_qshare"));
        command.env_clear().current_dir(self.root.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.env("HOME", home);
        command
    }

    /// A sender that has its code.
    pub(crate) async fn sender(&self, relay: SocketAddr, paths: &[&Path], more: &[&str]) -> RunningSender {
        let mut command = self.command();
        command.args(["send", "--json", "--relay", &relay.to_string()]).args(more).args(paths);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sender = RunningSender { child, lines, code: String::new() };
        sender.code = sender.event("sharing").await["code"].as_str().unwrap().to_owned();
        sender
    }

    /// Runs a sender that is not expected to get far.
    pub(crate) async fn try_send(&self, relay: SocketAddr, path: &Path) -> FinishedRun {
        let mut command = self.command();
        command.args(["send", "--json", "--relay", &relay.to_string()]).arg(path);
        run(command, self.target()).await
    }

    /// Downloads into a folder of its own.
    pub(crate) async fn recv(&self, relay: SocketAddr, code: &str) -> FinishedRun {
        self.recv_with(relay, code, self.target(), &["--json", "--yes"]).await
    }

    /// Downloads into `target`, with these options. The first cut is its end.
    pub(crate) async fn recv_with(
        &self,
        relay: SocketAddr,
        code: &str,
        target: PathBuf,
        options: &[&str],
    ) -> FinishedRun {
        let mut command = self.command();
        command.args(["recv", "--retry-for", "0", "--relay", &relay.to_string(), code, "--out"]);
        command.arg(&target).args(options);
        run(command, target).await
    }

    /// Everything on this machine but the programs' own state, to see later that nothing was added.
    pub(crate) fn snapshot(&self) -> Vec<PathBuf> {
        let mut all = tree(self.root.path());
        all.retain(|path| !path.starts_with(self.root.path().join("home")));
        all
    }
}

/// All paths below a folder, in order.
pub(crate) fn tree(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// A sender that runs. Killed when dropped.
pub(crate) struct RunningSender {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    code: String,
}

impl RunningSender {
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn secret(&self) -> Vec<u8> {
        Code::parse(&self.code).unwrap().secret().expose().to_vec()
    }

    /// The next event of this name; others on the direction to it are dropped.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.first_of(&[name]).await
    }

    /// The next event that has one of these names.
    pub(crate) async fn first_of(&mut self, names: &[&str]) -> Value {
        let reading = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let event: Value = serde_json::from_str(&line).unwrap();
                if names.contains(&event["event"].as_str().unwrap()) {
                    return event;
                }
            }
            panic!("the sender ended without {names:?}");
        };
        within(&format!("{names:?}"), reading).await
    }

    /// How it ends by itself.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        within("the end of the sender", self.child.wait()).await.unwrap().code()
    }
}

/// A command that has ended.
pub(crate) struct FinishedRun {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) target: PathBuf,
    pub(crate) took: Duration,
    /// The most memory that it used, in bytes, if the system reports it.
    pub(crate) peak: Option<u64>,
}

impl FinishedRun {
    /// The message of the last line.
    pub(crate) fn message(&self) -> String {
        self.last()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The last line.
    pub(crate) fn last(&self) -> Value {
        self.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// It failed with this exit code and the kind that belongs to it, said why, and gave nothing its name.
    #[track_caller]
    pub(crate) fn assert_failed(&self, exit: i32, what: &str) {
        let kind = match exit {
            1 => "transfer",
            3 => "not_found",
            4 => "wrong_code",
            5 => "network",
            6 => "disk",
            7 => "refused",
            8 => "corrupt",
            other => panic!("{other} is not expected of anybody"),
        };
        assert_eq!(self.exit, Some(exit), "{what}: {}{}", self.stdout, self.stderr);
        let last = self.last();
        assert_eq!((&last["event"], &last["kind"]), (&"error".into(), &kind.into()), "{what}: {last}");
        assert!(!self.message().is_empty(), "{what}");
        assert_only_staged(&self.target, what);
    }

    /// It has exactly this file, and nothing else.
    #[track_caller]
    pub(crate) fn assert_saved(&self, name: &str, content: &[u8], what: &str) {
        assert_eq!(self.exit, Some(0), "{what}: {}{}", self.stdout, self.stderr);
        let path = self.target.join(name);
        assert_eq!(tree(&self.target), std::slice::from_ref(&path), "{what}");
        assert!(fs::read(path).unwrap() == content, "{what}: another content");
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.target.join(name)).unwrap().permissions().mode()
    }
}

async fn run(mut command: Command, target: PathBuf) -> FinishedRun {
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let id = child.id().unwrap_or_default();
    let reading = async {
        let (a, b) = tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr));
        a.and(b).unwrap();
        child.wait().await.unwrap()
    };
    let ended = within("the end of a command", async {
        tokio::pin!(reading);
        let (mut peak, mut looks) = (None, tokio::time::interval(LOOK_EVERY));
        loop {
            tokio::select! {
                ended = &mut reading => return (ended, peak),
                _ = looks.tick() => peak = peak.max(peak_memory(id)),
            }
        }
    });
    let (status, peak) = ended.await;
    FinishedRun { exit: status.code(), stdout, stderr, target, took: began.elapsed(), peak }
}
