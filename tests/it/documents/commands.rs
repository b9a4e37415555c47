//! Runs the commands of a block as a newcomer would: at a terminal, in a home folder with a few files.

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    console::Step,
    document::{Block, Marker, Setup},
    placeholders::{is_code, replace},
};
use crate::support::{Keyboard, Process, RelayProcess, SenderProcess, TestEnv, screen};

/// The width of the terminal. No line of an example wraps.
const COLUMNS: u16 = 300;

/// Programs without which a command is skipped.
const OPTIONAL: [&str; 2] = ["jq", "man"];

/// What a command shows when it lasts until Ctrl-C.
const READY: [&str; 4] = ["Ctrl-C ends the share.", "To share by code alone", "\"sharing\"", "\"relay_listening\""];

/// The files that the documents use, in the home folder.
const FILES: [&str; 13] = [
    "holiday/2024/IMG_0117.jpg",
    "holiday/raw/IMG_0117.dng",
    "holiday/a.log",
    "notes.pdf",
    "big.iso",
    "talk.mp4",
    "a.pdf",
    "b.pdf",
    "a.zip",
    "README.md",
    "project/src/main.c",
    "project/.git/HEAD",
    "Public/offer.txt",
];

/// The relay and the sender that a block needs.
#[derive(Default)]
struct Peers {
    relay: Option<RelayProcess>,
    sender: Option<SenderProcess>,
    needs_receiver: bool,
    /// The home folders of the peers.
    homes: Vec<TestEnv>,
}

impl Peers {
    fn start(setups: &[Setup]) -> Self {
        let mut peers = Self::default();
        let relay_home = TestEnv::new();
        peers.relay = setups.contains(&Setup::Relay).then(|| relay_home.relay());
        peers.homes.push(relay_home);
        for setup in setups {
            match setup {
                Setup::Share(path) => {
                    let home = home();
                    let send = home.qshare(&["send", "--json", path]).dir(&home.path("home")).via(peers.relay.as_ref());
                    peers.sender = Some(send.share());
                    peers.homes.push(home);
                }
                Setup::Receiver => peers.needs_receiver = true,
                Setup::Relay | Setup::Script => {}
            }
        }
        peers
    }

    /// Creates the user who runs a command: one with files, unless a sender has them.
    fn user(&self) -> TestEnv {
        if self.sender.is_some() { empty_home() } else { home() }
    }

    fn replace(&self, command: &str) -> String {
        replace(command, self.sender.as_ref(), self.relay.as_ref())
    }
}

/// Creates a user without files.
fn empty_home() -> TestEnv {
    let env = TestEnv::new();
    for name in [".zfunc", ".config/fish/completions", "in"] {
        env.folder(&format!("home/{name}"));
    }
    env
}

/// Creates a user with the files of the documents.
fn home() -> TestEnv {
    let env = empty_home();
    for name in FILES {
        env.file(&format!("home/{name}"), format!("content of {name}\n"));
    }
    env.file("home/project/.gitignore", "*.o\n");
    env
}

/// Runs the commands of a block, unless its marker says why not.
pub(super) fn run(block: &Block, place: &str) {
    let setups: &[Setup] = match &block.marker {
        Some(Marker::NotRun(_)) => return,
        Some(Marker::Run(setups)) => setups,
        None => &[],
    };
    match block.language.as_str() {
        "console" => {
            let peers = Peers::start(setups);
            let home = peers.user();
            for step in Step::all_of(&block.text) {
                if let Some(shown) = run_command(&home, &step.command, &peers, place) {
                    step.check(&shown, place);
                }
            }
        }
        "sh" => {
            let peers = Peers::start(setups);
            let commands = if setups.contains(&Setup::Script) { vec![block.text.clone()] } else { lines(&block.text) };
            for command in commands {
                run_command(&peers.user(), &command, &peers, place);
            }
        }
        _ => {}
    }
}

/// Splits a block into its commands: one a line, unless the line ends with a backslash.
fn lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", "");
    joined.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Runs a command until its end, or until Ctrl-C if it lasts, and checks that it succeeds. Returns what it showed;
/// `None` if it was skipped.
fn run_command(home: &TestEnv, command: &str, peers: &Peers, place: &str) -> Option<String> {
    let missing = OPTIONAL.into_iter().find(|program| {
        command.split_whitespace().any(|word| word == *program)
            && home.bash(&format!("command -v {program}")).run().code != Some(0)
    });
    if let Some(program) = missing {
        println!("{place}: skipped, because {program} is not installed: {command}");
        return None;
    }
    println!("{place}: {command}");
    // A command that gets Ctrl-C may be at the end of a pipe whose first program dies of it.
    let options = if peers.sender.is_some() { "set -o pipefail\n" } else { "" };
    let script = format!("{options}{}", peers.replace(command));
    let (process, keyboard) = home.bash(&script).start_on_a_screen(COLUMNS);
    let mut running = Running { process: Some(process), keyboard, answered: 0 };
    if running.waits_for_ctrl_c() {
        if peers.needs_receiver {
            running.let_download();
        }
        running.signal_group(Signal::INT);
    }
    let ended = running.process.take()?.end();
    assert_eq!(ended.code, Some(0), "{place}: {command}\n{ended}");
    Some(screen(&ended.stderr, COLUMNS))
}

/// A command and the processes that it has started. Killed when dropped.
struct Running {
    process: Option<Process>,
    keyboard: Keyboard,
    answered: usize,
}

impl Running {
    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// Answers questions with yes until the command lasts, or has ended. Returns whether it lasts.
    fn waits_for_ctrl_c(&mut self) -> bool {
        let questions = |shown: &str| shown.matches("/n] ").count();
        loop {
            let answered = self.answered;
            let is_ready = |shown: &str| READY.iter().any(|text| shown.contains(text));
            let Some(shown) =
                self.process().wait_unless_it_ends(|shown| questions(shown) > answered || is_ready(shown))
            else {
                return false;
            };
            if questions(&shown) == answered {
                return true;
            }
            self.keyboard.line("y");
            self.answered += 1;
        }
    }

    /// Downloads the share as another user.
    fn let_download(&self) {
        let shown = self.process().messages();
        let code = shown.split_whitespace().find(|word| is_code(word)).unwrap();
        let receiver = TestEnv::new();
        receiver.recv(code, &receiver.path("in")).run().expect(0);
        self.process().wait_for_message("done");
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.process().id()) {
            let _ = kill_process_group(group, signal); // it may have ended
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.signal_group(Signal::KILL);
        }
    }
}
