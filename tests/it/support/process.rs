//! One process: what it has printed so far, parsed, and its end. Killed when dropped.

use std::{
    io::Read,
    process::{Child, ExitStatus},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

/// Nothing that a test waits for takes this long, however loaded the machine is.
const LIMIT: Duration = Duration::from_secs(60);

/// A process of a test.
pub(crate) struct Process {
    name: String,
    pid: Pid,
    shared: Arc<Shared>,
    /// Events before this one have been waited for.
    seen: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Streams that have ended.
    closed: u8,
    /// Set once it has been reaped; until then its id is its own.
    status: Option<ExitStatus>,
}

impl Process {
    /// Takes over a child whose standard output is piped; `stderr` gives what it writes on standard error.
    pub(crate) fn watch(name: String, mut child: Child, stderr: impl Read + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let pid = Pid::from_child(&child);
        collect(&shared, child.stdout.take().unwrap(), |state| &mut state.stdout);
        collect(&shared, stderr, |state| &mut state.stderr);
        let waiter = Arc::clone(&shared);
        thread::spawn(move || {
            // It stays a zombie until its status is known here, so that no signal can hit a stranger.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            waiter.change(|state| state.status = child.wait().ok());
        });
        Self { name, pid, shared, seen: 0 }
    }

    /// The process id.
    pub(crate) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The next event of this name; those before it are passed over.
    pub(crate) fn wait_for(&mut self, event: &str) -> Value {
        self.first_of(&[event])
    }

    /// The next event of one of these names; those before it are passed over.
    pub(crate) fn first_of(&mut self, wanted: &[&str]) -> Value {
        let is_wanted = |event: &Value| event["event"].as_str().is_some_and(|name| wanted.contains(&name));
        let found = self.wait(&format!("the event {}", wanted.join(" or ")), |state| {
            let events = events(&state.stdout);
            let found = events.iter().enumerate().skip(self.seen).find(|(_, e)| is_wanted(e));
            match found {
                Some((at, found)) => Some(Ok((at, found.clone()))),
                None => (state.closed == 2).then_some(Err(())),
            }
        });
        let Ok((at, found)) = found else {
            panic!("it ended without the event {}\n{}", wanted.join(" or "), self.told())
        };
        self.seen = at + 1;
        found
    }

    /// Waits until standard error holds this text.
    pub(crate) fn wait_for_message(&self, text: &str) {
        self.wait(text, |state| String::from_utf8_lossy(&state.stderr).contains(text).then_some(()));
    }

    /// The first `count` lines of standard output.
    pub(crate) fn wait_for_lines(&self, count: usize) -> Vec<String> {
        self.wait(&format!("{count} lines"), |state| {
            let lines: Vec<_> =
                String::from_utf8_lossy(&state.stdout).split_inclusive('\n').map(str::to_owned).collect();
            let whole = lines.iter().filter(|line| line.ends_with('\n')).take(count);
            let whole: Vec<String> = whole.map(|line| line.trim_end().to_owned()).collect();
            (whole.len() == count).then_some(whole)
        })
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.shared.state.lock().unwrap().stdout)
    }

    /// Sends a signal; none where it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let state = self.shared.state.lock().unwrap();
        if state.status.is_none() {
            kill_process(self.pid, signal).unwrap();
        }
    }

    /// Kills it, and waits until it is gone with all that it held.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait("the end", |state| state.status.map(drop));
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&self) -> bool {
        self.shared.state.lock().unwrap().status.is_none()
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Outcome {
        self.wait("the end", |state| {
            let status = state.status.filter(|_| state.closed == 2)?;
            Some(Outcome {
                name: self.name.clone(),
                code: status.code(),
                stdout: state.stdout.clone(),
                stderr: String::from_utf8_lossy(&state.stderr).into_owned(),
            })
        })
    }

    fn wait<T>(&self, what: &str, mut ready: impl FnMut(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(ready) = ready(&state) {
                return ready;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        drop(state);
        panic!("waited in vain for {what}\n{}", self.told());
    }

    fn told(&self) -> String {
        let state = self.shared.state.lock().unwrap();
        let [out, err] = [&state.stdout, &state.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        format!("{} ({:?}) printed:\n{out}\nand on standard error:\n{err}", self.name, state.status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

fn collect(shared: &Arc<Shared>, mut stream: impl Read + Send + 'static, of: fn(&mut State) -> &mut Vec<u8>) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            shared.change(|state| of(state).extend_from_slice(&buffer[..read]));
        }
        shared.change(|state| state.closed += 1);
    });
}

/// The whole lines that are JSON.
fn events(stdout: &[u8]) -> Vec<Value> {
    let whole = stdout.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    stdout[..whole].split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: String,
    /// The exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Checks that it failed with this exit code and that its last event is an error of this kind with a message that
    /// holds `part`; gives the message and the hint.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: i32, kind: &str, part: &str) -> String {
        assert_eq!(self.code, Some(code), "{self}");
        let events = self.events();
        let last = events.last().unwrap_or_else(|| panic!("no event at all: {self}"));
        assert_eq!((&last["event"], &last["kind"]), (&Value::from("error"), &Value::from(kind)), "{self}");
        let message = last["message"].as_str().unwrap();
        assert!(message.contains(part), "“{part}” is not in: {self}");
        format!("{message}\n{}", last["hint"].as_str().unwrap_or_default())
    }

    /// All events.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.stdout)
    }

    /// The only event of this name.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        let mut found = self.all(name);
        assert_eq!(found.len(), 1, "{name}: {self}");
        found.remove(0)
    }

    /// All events of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"] == name).collect()
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {:?}\n{}\n{}", self.name, self.code, self.text(), self.stderr)
    }
}

/// The most memory that a running process ever had, in bytes; none where the system does not say.
pub(crate) fn peak_memory(process: &Process) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}
