//! Real senders and receivers, for tests whose other parts run in the process of the test.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use qshare::internals::code::Code;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::{assert_only_staged, peak_memory};

/// The time limit of every wait. It is long enough for a heavily loaded machine.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// How often the memory of a running command is sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for a future, and panics at the time limit.
pub(crate) async fn within<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match timeout(WAIT_LIMIT, happening).await {
        Ok(happened) => happened,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// Returns random bytes, which depend only on the seed.
pub(crate) fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A machine with a home folder, and folders to send from and to download into.
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

    /// Creates a file to share.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.path().join("shared").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Creates an empty folder to download into.
    pub(crate) fn target(&self) -> PathBuf {
        let n = self.downloads.fetch_add(1, Ordering::Relaxed);
        let path = self.root.path().join("out").join(n.to_string());
        fs::create_dir(&path).unwrap();
        path
    }

    /// Returns the state folder of the program.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("home/state/qshare")
    }

    /// Returns the files in the state folder with their contents.
    pub(crate) fn state_files(&self) -> BTreeSet<(PathBuf, Vec<u8>)> {
        let files = tree(&self.state()).into_iter().filter(|path| path.is_file());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// Returns the lost guesses of the only share, as its state file counts them.
    pub(crate) fn lost_guesses(&self) -> u64 {
        let files = self.state_files();
        let (_, text) = files.iter().find(|(path, _)| path.extension().is_some_and(|e| e == "guesses")).unwrap();
        serde_json::from_slice::<Value>(text).unwrap()["lost"].as_u64().unwrap()
    }

    fn command(&self) -> Command {
        let home = self.root.path().join("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_qshare"));
        command.env_clear().current_dir(self.root.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.env("QSHARE_LAN", "off"); // no test announces or searches on a real network
        command.env("HOME", home);
        command
    }

    /// Starts a sender and waits until it has a code.
    pub(crate) async fn start_sender(&self, relay: SocketAddr, paths: &[&Path], options: &[&str]) -> RunningSender {
        let mut command = self.command();
        command.args(["send", "--json", "--relay", &relay.to_string()]).args(options).args(paths);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sender = RunningSender { child, lines, code: String::new() };
        sender.code = sender.wait_for("sharing").await["code"].as_str().unwrap().to_owned();
        sender
    }

    /// Runs a sender until it ends.
    pub(crate) async fn run_sender(&self, relay: SocketAddr, path: &Path) -> FinishedRun {
        let mut command = self.command();
        command.args(["send", "--json", "--relay", &relay.to_string()]).arg(path);
        run(command, self.target()).await
    }

    /// Runs a receiver with a new target folder.
    pub(crate) async fn run_receiver(&self, relay: SocketAddr, code: &str) -> FinishedRun {
        self.run_receiver_with(relay, code, self.target(), &["--json", "--yes"]).await
    }

    /// Runs a receiver that reconnects for up to a minute.
    pub(crate) async fn run_persistent_receiver(&self, relay: SocketAddr, code: &str) -> FinishedRun {
        let (mut command, target) = (self.command(), self.target());
        command.args(["recv", "--retry-for", "1m", "--json", "--yes", "--relay", &relay.to_string(), code, "--out"]);
        command.arg(&target);
        run(command, target).await
    }

    /// Runs a receiver with these options. It does not reconnect.
    pub(crate) async fn run_receiver_with(
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

    /// Returns all paths on this machine, except those of the home folder.
    pub(crate) fn snapshot(&self) -> Vec<PathBuf> {
        let mut all = tree(self.root.path());
        all.retain(|path| !path.starts_with(self.root.path().join("home")));
        all
    }
}

/// Returns all paths below a folder, in order.
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

/// A running sender. Killed when dropped.
pub(crate) struct RunningSender {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    code: String,
}

impl RunningSender {
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn secret(&self) -> Vec<u8> {
        Code::parse(&self.code).unwrap().secret().expose().to_vec()
    }

    /// Waits for the next event of this name, and skips the events before it.
    pub(crate) async fn wait_for(&mut self, name: &str) -> Value {
        self.first_of(&[name]).await
    }

    /// Waits for the next event with one of these names, and skips the events before it.
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

    /// Returns the most memory that it has used so far, in bytes, if the system reports it.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        peak_memory(self.child.id()?)
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it ends without being stopped, and returns the exit code.
    pub(crate) async fn wait_for_exit(mut self) -> Option<i32> {
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
    /// Returns the message of the last event.
    pub(crate) fn message(&self) -> String {
        self.last()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the last event.
    pub(crate) fn last(&self) -> Value {
        self.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    }

    /// Checks that it failed with this exit code, the matching kind and a message, and left at most a staging folder.
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
            other => panic!("exit code {other} has no kind here"),
        };
        assert_eq!(self.exit, Some(exit), "{what}: {}{}", self.stdout, self.stderr);
        let last = self.last();
        assert_eq!((&last["event"], &last["kind"]), (&"error".into(), &kind.into()), "{what}: {last}");
        assert!(!self.message().is_empty(), "{what}");
        assert_only_staged(&self.target, what);
    }

    /// Checks that it succeeded, and that the target contains this file and nothing else.
    #[track_caller]
    pub(crate) fn assert_saved(&self, name: &str, content: &[u8], what: &str) {
        assert_eq!(self.exit, Some(0), "{what}: {}{}", self.stdout, self.stderr);
        let path = self.target.join(name);
        assert_eq!(tree(&self.target), std::slice::from_ref(&path), "{what}");
        assert!(fs::read(path).unwrap() == content, "{what}: the content differs");
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
        let (mut peak, mut looks) = (None, tokio::time::interval(SAMPLE_INTERVAL));
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
