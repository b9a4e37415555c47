//! Real relays, senders and receivers, each test's in an environment of its own.

mod files;
mod frames;
mod process;
mod terminal;
mod udp_proxy;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

pub(crate) use self::{
    files::{Tree, assert_only_staged, hash, names, noise, sparse},
    frames::{UnknownFrame, bytes_of},
    process::{Outcome, Process, peak_memory},
    terminal::Keyboard,
    udp_proxy::UdpProxy,
};

/// A file this large can be caught in the middle: it takes far longer than a test takes to notice its beginning.
pub(crate) const BIG: u64 = 512 * 1024 * 1024;

/// A user on a machine: a home folder, and nothing of the environment outside. Removed when dropped.
pub(crate) struct World {
    home: TempDir,
}

impl World {
    /// A user who has never run the program.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(home.path().join("home")).unwrap();
        Self { home }
    }

    /// A path outside the home folder; `name` may be anything that is not `home`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// An empty folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Any command line: neither a relay nor JSON unless it says so.
    pub(crate) fn qshare(&self, args: &[&str]) -> Qshare {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qshare"));
        command.env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        for kept in ["PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        let home = self.path("home");
        command.env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.env("HOME", home).args(args);
        Qshare { name: args.first().unwrap_or(&"qshare").to_string(), command }
    }

    /// A relay that listens.
    pub(crate) fn relay(&self) -> Relay {
        Relay::start(self.qshare(&["relay", "--json", "--listen", "127.0.0.1:0"]))
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("home/state/qshare")
    }

    /// `qshare send --json PATH…`, not started yet.
    pub(crate) fn send(&self, paths: &[&Path]) -> Qshare {
        self.qshare(&["send", "--json"]).args(paths)
    }

    /// A receiver that was shown an offer at a terminal and asks whether to download.
    pub(crate) fn asks(&self, code: &str, relay: &Relay, into: &Path) -> (Process, Keyboard) {
        fs::create_dir_all(into).unwrap();
        let (process, keyboard) = self.qshare(&["recv", code]).via(relay).dir(into).start_at_a_terminal();
        process.wait_for_message("Download?");
        (process, keyboard)
    }

    /// A receiver of `sender` that stands still in the middle of a download, until it is told to go on. What is sent
    /// must be [`BIG`].
    pub(crate) fn holds(&self, sender: &mut Sender, relay: &Relay, into: &Path) -> Process {
        let mut receiver = self.recv(sender.code(), into).via(relay).start();
        sender.process.wait_for("download_started");
        receiver.wait_for("progress");
        receiver.signal(Signal::STOP);
        assert!(receiver.is_running(), "{BIG} bytes went through before it could be held");
        receiver
    }

    /// `qshare recv --json --yes CODE` into the folder `into`, which is made. Not started yet.
    pub(crate) fn recv(&self, code: &str, into: &Path) -> Qshare {
        fs::create_dir_all(into).unwrap();
        self.qshare(&["recv", "--json", "--yes", code]).dir(into)
    }
}

/// A command line that is being put together.
pub(crate) struct Qshare {
    name: String,
    command: Command,
}

impl Qshare {
    /// One more word.
    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args(&[arg])
    }

    /// More words.
    pub(crate) fn args(mut self, args: &[impl AsRef<OsStr>]) -> Self {
        self.command.args(args);
        self
    }

    /// Through this relay.
    pub(crate) fn via(self, relay: &Relay) -> Self {
        self.args(&["--relay", &relay.spec()])
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Process {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        Process::watch(self.name, child, stderr)
    }

    /// Starts it with somebody at a terminal: standard input and standard error are one, standard output is not.
    pub(crate) fn start_at_a_terminal(mut self) -> (Process, Keyboard) {
        let (keyboard, screen, end) = terminal::open();
        self.command.stdin(end.try_clone().unwrap()).stdout(Stdio::piped()).stderr(end).env("TERM", "xterm");
        let child = self.command.spawn().unwrap();
        (Process::watch(self.name, child, screen), keyboard)
    }

    /// Starts a sender and waits until its code is good.
    pub(crate) fn share(self) -> Sender {
        Sender::new(self.start())
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Outcome {
        self.start().end()
    }

    /// The command itself, for a test that wants its streams.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

/// A relay that listens.
pub(crate) struct Relay {
    /// The process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) addr: String,
    /// The pin of its key.
    pub(crate) pin: String,
}

impl Relay {
    /// Starts `relay`, which must print JSON.
    pub(crate) fn start(relay: Qshare) -> Self {
        let mut process = relay.start();
        let listening = process.wait_for("relay_listening");
        let text = |field: &str| listening[field].as_str().unwrap().to_owned();
        Self { addr: text("addr"), pin: text("pin"), process }
    }

    /// What `--relay` takes.
    pub(crate) fn spec(&self) -> String {
        format!("{}#{}", self.addr, self.pin)
    }

    /// Ends it as a service manager does, and checks that it ends well.
    pub(crate) fn stop(self) -> Outcome {
        self.process.signal(Signal::TERM);
        self.process.end().expect(0)
    }
}

/// A sender whose code is good.
pub(crate) struct Sender {
    /// The process.
    pub(crate) process: Process,
    /// Its `sharing` event.
    pub(crate) sharing: serde_json::Value,
}

impl Sender {
    fn new(mut process: Process) -> Self {
        let sharing = process.wait_for("sharing");
        Self { process, sharing }
    }

    /// The code.
    pub(crate) fn code(&self) -> &str {
        self.sharing["code"].as_str().unwrap()
    }

    /// The link.
    pub(crate) fn link(&self) -> &str {
        self.sharing["link"].as_str().unwrap()
    }

    /// Ctrl-C while nothing runs, which must end well.
    pub(crate) fn stop(self) -> Outcome {
        self.process.signal(Signal::INT);
        self.process.end().expect(0)
    }
}
