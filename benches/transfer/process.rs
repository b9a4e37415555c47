//! Processes that report events on their standard output, and what they used.

use std::{
    fmt,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Result,
    machine::{kibibytes, value_of},
};

/// No event takes longer than this, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The peak of memory is looked at this often; it vanishes with the process. Looking at fifty costs time, too.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a process used in all its life. `None` where the system does not tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Seconds of CPU, user and system.
    pub(super) cpu: Option<f64>,
    /// The most bytes of memory it ever held.
    pub(super) peak: Option<u64>,
}

impl Usage {
    /// What several processes used: their CPU together, the highest peak of one.
    pub(super) fn of_all(all: &[Self]) -> Self {
        Self {
            cpu: all.iter().map(|usage| usage.cpu).sum::<Option<f64>>(),
            peak: all.iter().filter_map(|usage| usage.peak).max(),
        }
    }
}

/// The program, with a home of its own for each role.
pub(super) fn qshare(home: &Path, role: &str) -> Command {
    let home = home.join("home").join(role);
    let mut command = Command::new(env!("CARGO_BIN_EXE_qshare"));
    command
        .env("HOME", &home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("QSHARE_RELAY")
        .env_remove("QSHARE_CODE")
        .arg("--json");
    command
}

/// A running process. Killed when it is dropped.
pub(super) struct Process {
    role: &'static str,
    child: Child,
    lines: Receiver<(Instant, String)>,
    peak: Arc<AtomicU64>,
    watcher: Option<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(role: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start the {role}: {e}"))?;
        let (tx, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                    let _ = tx.send((Instant::now(), line)); // whoever has heard enough hangs up
                }
            });
        }
        let peak = Arc::new(AtomicU64::new(0));
        let watcher = watch_memory(child.id(), Arc::clone(&peak));
        Ok(Self { role, child, lines, peak, watcher: Some(watcher) })
    }

    /// Waits for an event, and says when it came.
    pub(super) fn event(&self, name: &str) -> Result<(Instant, Value)> {
        let mut last = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok((at, line)) => {
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    if event["event"] == name {
                        return Ok((at, event));
                    }
                    last = line;
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.error(format_args!("says nothing more, last {last}")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.error(format_args!("ended with {last}"))),
            }
        }
    }

    /// Waits until the process has ended well.
    pub(super) fn finish(mut self) -> Result<Usage> {
        let (usage, status) = self.reap()?;
        if status.success() { Ok(usage) } else { Err(self.error(format_args!("ended with {status}"))) }
    }

    /// Ends the process.
    pub(super) fn stop(mut self) -> Result<Usage> {
        self.child.kill()?;
        Ok(self.reap()?.0)
    }

    fn reap(&mut self) -> Result<(Usage, ExitStatus)> {
        let cpu = cpu_at_the_end(&self.child);
        let status = self.child.wait()?;
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join(); // it ends with the process
        }
        let peak = Some(self.peak.load(Ordering::Relaxed)).filter(|peak| *peak > 0);
        Ok((Usage { cpu, peak }, status))
    }

    fn error(&self, what: fmt::Arguments<'_>) -> Box<dyn std::error::Error> {
        format!("the {} {what}", self.role).into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the peak of a process's memory in `peak` until it has ended.
fn watch_memory(pid: u32, peak: Arc<AtomicU64>) -> JoinHandle<()> {
    thread::spawn(move || {
        let status = format!("/proc/{pid}/status");
        // Short at first: some processes live for a few milliseconds only.
        let mut pause = Duration::from_millis(1);
        while let Some(now) = value_of(&status, "VmHWM").and_then(|value| kibibytes(&value)) {
            peak.store(now, Ordering::Relaxed);
            thread::sleep(pause);
            pause = (pause * 2).min(LOOK_EVERY);
        }
    })
}

/// Waits until a process has ended, and reads what it used before it is gone for good.
#[cfg(target_os = "linux")]
fn cpu_at_the_end(child: &Child) -> Option<f64> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    /// What the kernel counts in, on all of its architectures that matter here (`getconf CLK_TCK`).
    const TICKS_PER_SECOND: f64 = 100.0;
    waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    // Behind the name in parentheses, utime and stime are the 12th and the 13th field.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(not(target_os = "linux"))]
fn cpu_at_the_end(_child: &Child) -> Option<f64> {
    None
}
