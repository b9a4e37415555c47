//! A process that reports events on its standard output, and the resources that it used.

use std::{
    env, fmt,
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
    machine::{parse_kibibytes, read_field},
};

/// The longest wait for an event, on the slowest machine.
const EVENT_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest interval between two samples of a process's peak memory, which cannot be read after the process has
/// exited. Not shorter, because sampling fifty processes takes CPU time too.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The resources that a process used in its lifetime. `None` if the system does not report them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResourceUsage {
    /// Seconds of CPU, user and system.
    pub(crate) cpu: Option<f64>,
    /// The peak of its memory in bytes.
    pub(crate) peak_memory: Option<u64>,
}

impl ResourceUsage {
    /// Returns the sum of the CPU of several processes, and the highest of their memory peaks.
    pub(crate) fn total(all: &[Self]) -> Self {
        Self {
            cpu: all.iter().map(|usage| usage.cpu).sum::<Option<f64>>(),
            peak_memory: all.iter().filter_map(|usage| usage.peak_memory).max(),
        }
    }
}

/// Returns the command of the program with JSON output and a home folder for this role. `QSHARE_BENCH_BINARY` names
/// another build of the program, to compare two builds.
pub(crate) fn qshare(home: &Path, role: &str) -> Command {
    let home = home.join("home").join(role);
    let program = env::var_os("QSHARE_BENCH_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_qshare").into());
    let mut command = Command::new(program);
    command
        .env("HOME", &home)
        .env("QSHARE_LAN", "off")
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("QSHARE_RELAY")
        .env_remove("QSHARE_CODE")
        .arg("--json");
    command
}

/// A running process. Killed when it is dropped.
pub(crate) struct BenchProcess {
    role: &'static str,
    child: Child,
    lines: Receiver<(Instant, String)>,
    peak_memory: Arc<AtomicU64>,
    memory_sampler: Option<JoinHandle<()>>,
}

impl BenchProcess {
    /// Starts the process. `role` names it in errors.
    pub(crate) fn start(role: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start the {role}: {e}"))?;
        let (tx, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                    let _ = tx.send((Instant::now(), line)); // fails once the process is no longer observed
                }
            });
        }
        let peak_memory = Arc::new(AtomicU64::new(0));
        let memory_sampler = Some(sample_memory(child.id(), Arc::clone(&peak_memory)));
        Ok(Self { role, child, lines, peak_memory, memory_sampler })
    }

    /// Waits for an event and returns it with the time at which it arrived.
    pub(crate) fn wait_for_event(&self, name: &str) -> Result<(Instant, Value)> {
        let mut last = String::new();
        loop {
            match self.lines.recv_timeout(EVENT_TIMEOUT) {
                Ok((at, line)) => {
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    if event["event"] == name {
                        return Ok((at, event));
                    }
                    last = line;
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.error(format_args!("reported no `{name}` in time; its last event: {last}")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.error(format_args!("exited without `{name}`; its last event: {last}")));
                }
            }
        }
    }

    /// Waits until the process has exited.
    ///
    /// # Errors
    /// If its exit code is not 0.
    pub(crate) fn wait_for_success(mut self) -> Result<ResourceUsage> {
        let (usage, status) = self.reap()?;
        if status.success() { Ok(usage) } else { Err(self.error(format_args!("failed with {status}"))) }
    }

    /// Kills the process.
    pub(crate) fn kill(mut self) -> Result<ResourceUsage> {
        self.child.kill()?;
        Ok(self.reap()?.0)
    }

    fn reap(&mut self) -> Result<(ResourceUsage, ExitStatus)> {
        let cpu = wait_and_read_cpu(&self.child);
        let status = self.child.wait()?;
        if let Some(sampler) = self.memory_sampler.take() {
            let _ = sampler.join(); // it ends with the process
        }
        let peak_memory = Some(self.peak_memory.load(Ordering::Relaxed)).filter(|peak| *peak > 0);
        Ok((ResourceUsage { cpu, peak_memory }, status))
    }

    fn error(&self, what: fmt::Arguments<'_>) -> Box<dyn std::error::Error> {
        format!("the {} {what}", self.role).into()
    }
}

impl Drop for BenchProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails if the process has already exited
        let _ = self.child.wait(); // only reaps the process
    }
}

/// Updates `peak` with the peak memory of a process until it has exited.
fn sample_memory(pid: u32, peak: Arc<AtomicU64>) -> JoinHandle<()> {
    thread::spawn(move || {
        let status = format!("/proc/{pid}/status");
        // The first intervals are short because some processes live for only a few milliseconds.
        let mut interval = Duration::from_millis(1);
        while let Some(now) = read_field(&status, "VmHWM").and_then(|value| parse_kibibytes(&value)) {
            peak.store(now, Ordering::Relaxed);
            thread::sleep(interval);
            interval = (interval * 2).min(SAMPLE_INTERVAL);
        }
    })
}

/// Waits until a process has exited, and reads its CPU time before it is reaped.
#[cfg(target_os = "linux")]
fn wait_and_read_cpu(child: &Child) -> Option<f64> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    /// The kernel's unit on all common architectures (`getconf CLK_TCK`).
    const TICKS_PER_SECOND: f64 = 100.0;
    waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    // After the name in parentheses, utime and stime are the 12th and the 13th field.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(not(target_os = "linux"))]
fn wait_and_read_cpu(_child: &Child) -> Option<f64> {
    None
}
