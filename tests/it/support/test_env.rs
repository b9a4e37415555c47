//! The environment of a test, and command lines in it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    peers::{RelayProcess, SenderProcess},
    process::Process,
    process_output::ProcessOutput,
    terminal::{Keyboard, open_terminal, open_terminal_of},
};

/// The size of a file whose transfer takes far longer than a test takes to notice its beginning.
pub(crate) const BIG: u64 = 512 * 1024 * 1024;

/// A user on a machine: a home folder, and no environment variables from outside. Removed when dropped.
pub(crate) struct TestEnv {
    root: TempDir,
}

impl TestEnv {
    /// Creates a user who has never run the program.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root }
    }

    /// Returns a path outside the home folder, unless `name` begins with `home`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Creates an empty folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Creates a file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Returns the state folder of the program.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("home/state/qshare")
    }

    /// Returns `qshare ARGS…`, without a relay and without JSON unless `args` say so.
    pub(crate) fn qshare(&self, args: &[&str]) -> QshareCommand {
        let name = args.first().unwrap_or(&"qshare").to_string();
        QshareCommand { name, command: self.command(env!("CARGO_BIN_EXE_qshare"), args) }
    }

    /// Returns a script for bash, in a process group of its own, in which `qshare` is the program. Its working
    /// directory is the home folder, with the state and the configuration of [`Self::qshare`]. A relay gets a free port
    /// on loopback unless it has `--listen`. A pager shows everything at once, and an editor changes nothing.
    pub(crate) fn bash(&self, script: &str) -> QshareCommand {
        // A function, because an executable that this process writes cannot be started while another test forks.
        let function = format!(
            "qshare() {{ case \" $* \" in *--listen*) ;; *' relay '*) set -- \"$@\" --listen 127.0.0.1:0 ;; esac\n\
             '{}' \"$@\"\n}}\n",
            env!("CARGO_BIN_EXE_qshare")
        );
        let script = format!("{function}{script}");
        let mut command = self.command("bash", &["--norc", "--noprofile", "-e", "-c", &script]);
        command.env("PAGER", "cat").env("EDITOR", "true").current_dir(self.path("home")).process_group(0);
        QshareCommand { name: "bash".to_owned(), command }
    }

    /// Returns the example `name` with its arguments. `cargo test` builds the examples.
    pub(crate) fn example(&self, name: &str, args: &[&str]) -> QshareCommand {
        let program = Path::new(env!("CARGO_BIN_EXE_qshare")).with_file_name("examples").join(name);
        assert!(program.exists(), "run cargo build --examples first");
        QshareCommand { name: name.to_owned(), command: self.command(program, args) }
    }

    fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.root.path()).stdin(Stdio::null());
        for inherited in ["PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(inherited).map(|value| (inherited, value)));
        }
        let home = self.path("home");
        command.env("XDG_STATE_HOME", home.join("state")).env("XDG_CONFIG_HOME", home.join("config"));
        command.env("QSHARE_LAN", "off"); // no test announces or searches on a real network
        command.env("HOME", home).args(args);
        command
    }

    /// Runs `test` with a relay of its own process, and with the sender's embedded relay.
    pub(crate) fn with_each_relay(test: impl Fn(&Self, Option<&RelayProcess>)) {
        let env = Self::new();
        test(&env, Some(&env.relay()));
        test(&Self::new(), None);
    }

    /// Starts a relay and waits until it listens.
    pub(crate) fn relay(&self) -> RelayProcess {
        RelayProcess::start(self.qshare(&["relay", "--json", "--listen", "127.0.0.1:0"]))
    }

    /// Returns `qshare send --json PATH…`.
    pub(crate) fn send(&self, paths: &[&Path]) -> QshareCommand {
        self.qshare(&["send", "--json"]).args(paths)
    }

    /// Returns `qshare recv --json --yes CODE` in the folder `into`, which is created.
    pub(crate) fn recv(&self, code: &str, into: &Path) -> QshareCommand {
        fs::create_dir_all(into).unwrap();
        self.qshare(&["recv", "--json", "--yes", code]).dir(into)
    }

    /// Starts a receiver at a terminal and waits until it asks whether to download.
    pub(crate) fn recv_until_prompt(&self, code: &str, relay: &RelayProcess, into: &Path) -> (Process, Keyboard) {
        fs::create_dir_all(into).unwrap();
        let (process, keyboard) = self.qshare(&["recv", code]).via(relay).dir(into).start_at_a_terminal();
        process.wait_for_message("Download?");
        (process, keyboard)
    }

    /// Starts a receiver and stops it with SIGSTOP in the middle of the download. The shared file must be [`BIG`].
    pub(crate) fn recv_and_pause(&self, sender: &mut SenderProcess, relay: &RelayProcess, into: &Path) -> Process {
        let mut receiver = self.recv(sender.code(), into).via(relay).start();
        sender.process.wait_for("download_started");
        receiver.wait_for("progress");
        receiver.signal(Signal::STOP);
        assert!(receiver.is_running(), "the download of {BIG} bytes ended before the test could pause it");
        receiver
    }
}

/// A command line of the program, before it starts.
pub(crate) struct QshareCommand {
    name: String,
    command: Command,
}

impl QshareCommand {
    /// Appends an argument.
    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args(&[arg])
    }

    /// Appends arguments.
    pub(crate) fn args(mut self, args: &[impl AsRef<OsStr>]) -> Self {
        self.command.args(args);
        self
    }

    /// Selects a relay; with `None`, the sender's embedded one.
    pub(crate) fn via<'a>(self, relay: impl Into<Option<&'a RelayProcess>>) -> Self {
        match relay.into() {
            Some(relay) => self.args(&["--relay", &relay.spec()]),
            None => self,
        }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets standard input, which is empty otherwise.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Sets the working directory.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts the process.
    pub(crate) fn start(mut self) -> Process {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        Process::watch(self.name, child, stderr)
    }

    /// Starts the process with a terminal as standard input and standard error. Standard output is a pipe.
    pub(crate) fn start_at_a_terminal(mut self) -> (Process, Keyboard) {
        let (keyboard, screen, end) = open_terminal();
        self.command.stdin(end.try_clone().unwrap()).stdout(Stdio::piped()).stderr(end).env("TERM", "xterm");
        let child = self.command.spawn().unwrap();
        (Process::watch(self.name, child, screen), keyboard)
    }

    /// Starts the process with all streams at a terminal with 24 lines of `columns`. [`Process::messages`] returns
    /// everything that it prints.
    pub(crate) fn start_on_a_screen(mut self, columns: u16) -> (Process, Keyboard) {
        let (keyboard, screen, end) = open_terminal_of(columns);
        let stdio = || Stdio::from(end.try_clone().unwrap());
        self.command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm");
        let child = self.command.spawn().unwrap();
        drop((self.command, end)); // the screen ends with the last process that has it
        (Process::watch(self.name, child, screen), keyboard)
    }

    /// Starts a sender and waits until its share is registered.
    pub(crate) fn share(self) -> SenderProcess {
        SenderProcess::wait_for_code(self.start())
    }

    /// Starts the process and waits for its end.
    pub(crate) fn run(self) -> ProcessOutput {
        self.start().end()
    }

    /// Returns the command itself, for a test that needs its streams.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}
