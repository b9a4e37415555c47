//! A running process: its output so far, parsed, and its end. Killed when dropped.

use std::{
    io::{self, Read},
    process::{Child, ExitStatus},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use super::process_output::{ProcessOutput, parse_events};

/// The time limit of every wait. It is long enough for a heavily loaded machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A process of a test.
pub(crate) struct Process {
    name: String,
    pid: Pid,
    shared: Arc<SharedState>,
    /// The number of events that the test has waited for or skipped.
    seen: usize,
}

#[derive(Default)]
struct SharedState {
    state: Mutex<ProcessState>,
    changed: Condvar,
}

#[derive(Default)]
struct ProcessState {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The number of output streams that have ended.
    closed: u8,
    /// Set once the process is reaped. Until then its id is not reused.
    status: Option<ExitStatus>,
}

impl Process {
    /// Watches a child. `stderr` is its standard error, and also its standard output unless that is piped.
    pub(crate) fn watch(name: String, mut child: Child, stderr: impl Read + Send + 'static) -> Self {
        let shared = Arc::<SharedState>::default();
        let pid = Pid::from_child(&child);
        match child.stdout.take() {
            Some(stdout) => collect(&shared, stdout, |state| &mut state.stdout),
            None => collect(&shared, io::empty(), |state| &mut state.stdout),
        }
        collect(&shared, stderr, |state| &mut state.stderr);
        let waiter = Arc::clone(&shared);
        thread::spawn(move || {
            // The process stays a zombie until the status is stored, so that no signal can reach another process with
            // the same id.
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
            waiter.change(|state| state.status = child.wait().ok());
        });
        Self { name, pid, shared, seen: 0 }
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for the next event of this name, and skips the events before it.
    pub(crate) fn wait_for(&mut self, event: &str) -> Value {
        self.first_of(&[event])
    }

    /// Waits for the next event with one of these names, and skips the events before it.
    pub(crate) fn first_of(&mut self, wanted: &[&str]) -> Value {
        let is_wanted = |event: &Value| event["event"].as_str().is_some_and(|name| wanted.contains(&name));
        let found = self.wait(&format!("the event {}", wanted.join(" or ")), |state| {
            let events = parse_events(&state.stdout);
            let found = events.iter().enumerate().skip(self.seen).find(|(_, e)| is_wanted(e));
            match found {
                Some((at, found)) => Some(Ok((at, found.clone()))),
                None => (state.closed == 2).then_some(Err(())),
            }
        });
        let Ok((at, found)) = found else {
            panic!("the process ended without the event {}\n{}", wanted.join(" or "), self.output_so_far())
        };
        self.seen = at + 1;
        found
    }

    /// Waits until standard error contains this text.
    pub(crate) fn wait_for_message(&self, text: &str) {
        self.wait_for_messages(text, 1);
    }

    /// Waits until standard error contains this text so many times.
    pub(crate) fn wait_for_messages(&self, text: &str, count: usize) {
        self.wait(text, |state| (String::from_utf8_lossy(&state.stderr).matches(text).count() >= count).then_some(()));
    }

    /// Waits until standard error is `ready`, and returns it; `None` if the process has ended without that.
    pub(crate) fn wait_unless_it_ends(&self, ready: impl Fn(&str) -> bool) -> Option<String> {
        self.wait("its output or its end", |state| {
            let shown = String::from_utf8_lossy(&state.stderr);
            match ready(&shown) {
                true => Some(Some(shown.into_owned())),
                false => (state.closed == 2).then_some(None),
            }
        })
    }

    /// Returns standard error so far.
    pub(crate) fn messages(&self) -> String {
        String::from_utf8_lossy(&self.shared.state.lock().unwrap().stderr).into_owned()
    }

    /// Waits for the first `count` lines of standard output.
    pub(crate) fn wait_for_lines(&self, count: usize) -> Vec<String> {
        self.wait(&format!("{count} lines"), |state| {
            let lines: Vec<_> =
                String::from_utf8_lossy(&state.stdout).split_inclusive('\n').map(str::to_owned).collect();
            let complete = lines.iter().filter(|line| line.ends_with('\n')).take(count);
            let complete: Vec<String> = complete.map(|line| line.trim_end().to_owned()).collect();
            (complete.len() == count).then_some(complete)
        })
    }

    /// Returns all events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        parse_events(&self.shared.state.lock().unwrap().stdout)
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let state = self.shared.state.lock().unwrap();
        if state.status.is_none() {
            kill_process(self.pid, signal).unwrap();
        }
    }

    /// Kills the process, and waits until the system has released its locks and sockets.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait("the end", |state| state.status.map(drop));
    }

    /// Returns whether the process is still running.
    pub(crate) fn is_running(&self) -> bool {
        self.shared.state.lock().unwrap().status.is_none()
    }

    /// Waits for the end of the process.
    pub(crate) fn end(self) -> ProcessOutput {
        self.wait("the end", |state| {
            let status = state.status.filter(|_| state.closed == 2)?;
            Some(ProcessOutput {
                name: self.name.clone(),
                code: status.code(),
                stdout: state.stdout.clone(),
                stderr: String::from_utf8_lossy(&state.stderr).into_owned(),
            })
        })
    }

    fn wait<T>(&self, what: &str, mut ready: impl FnMut(&ProcessState) -> Option<T>) -> T {
        let deadline = Instant::now() + WAIT_LIMIT;
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(ready) = ready(&state) {
                return ready;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        drop(state);
        panic!("timed out waiting for {what}\n{}", self.output_so_far());
    }

    fn output_so_far(&self) -> String {
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

impl SharedState {
    fn change(&self, change: impl FnOnce(&mut ProcessState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

/// Spawns a thread that appends everything from `stream` to a buffer of the state.
fn collect(
    shared: &Arc<SharedState>,
    mut stream: impl Read + Send + 'static,
    buffer_of: fn(&mut ProcessState) -> &mut Vec<u8>,
) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            shared.change(|state| buffer_of(state).extend_from_slice(&buffer[..read]));
        }
        shared.change(|state| state.closed += 1);
    });
}

/// Waits until a condition holds that no event announces, such as the content of a file.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        thread::yield_now();
    }
}

/// Returns the most memory that the running process `id` has ever used, in bytes; `None` if the system does not report
/// it.
pub(crate) fn peak_memory(id: impl std::fmt::Display) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
