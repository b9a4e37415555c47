//! The cases of the benchmark: a payload and the number of receivers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bare_stream,
    measurement::Measurement,
    sharing::{RelayPlace, Sharing},
    support::{
        Result,
        files::{BenchFolder, Payload, check_content},
        process::ResourceUsage,
    },
};

/// A row of the table.
pub(super) struct Case {
    /// The name that selects it on the command line.
    pub(super) name: &'static str,
    /// The description in the table.
    pub(super) description: &'static str,
    kind: CaseKind,
}

enum CaseKind {
    Share(SharedPayload),
    /// Sends this many bytes over a bare stream to each of `readers` readers.
    BareStream {
        bytes: u64,
        readers: usize,
    },
}

/// A payload that is sent to `receivers` receivers at once, `repetitions` times in succession.
#[derive(Clone, Copy)]
struct SharedPayload {
    /// The name of the file or folder. Cases with one name use one file.
    name: &'static str,
    payload: Payload,
    relay: RelayPlace,
    /// Options of the sender.
    options: &'static [&'static str],
    receivers: usize,
    repetitions: usize,
}

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

const LARGE: SharedPayload = SharedPayload {
    name: "large",
    payload: Payload::File(GB),
    relay: RelayPlace::OwnProcess,
    options: &[],
    receivers: 1,
    repetitions: 1,
};
const FIFTY: SharedPayload = SharedPayload { name: "fifty", payload: Payload::File(40 * MB), receivers: 50, ..LARGE };
const LOG: SharedPayload = SharedPayload { name: "log", payload: Payload::Log(500 * MB), ..LARGE };
const SLOW: SharedPayload = SharedPayload { name: "slow-log", payload: Payload::Log(20 * MB), ..LARGE };

pub(super) const CASES: [Case; 16] = [
    Case { name: "one-file", description: "one file of 1 GB", kind: CaseKind::Share(LARGE) },
    Case {
        name: "pipe",
        description: "a pipe of 1 GB",
        kind: CaseKind::Share(SharedPayload { name: "pipe", payload: Payload::Pipe(GB), ..LARGE }),
    },
    Case {
        name: "one-file-embedded",
        description: "one file of 1 GB, embedded relay",
        kind: CaseKind::Share(SharedPayload { relay: RelayPlace::Embedded, ..LARGE }),
    },
    Case {
        name: "small-files",
        description: "10,000 files of 4 KiB",
        kind: CaseKind::Share(SharedPayload {
            name: "small-files",
            payload: Payload::Files { count: 10_000, each: 4096 },
            ..LARGE
        }),
    },
    Case {
        name: "receivers",
        description: "200 MB to 5 receivers at once",
        kind: CaseKind::Share(SharedPayload {
            name: "medium",
            payload: Payload::File(200 * MB),
            receivers: 5,
            ..LARGE
        }),
    },
    Case { name: "fifty", description: "40 MB to 50 receivers at once", kind: CaseKind::Share(FIFTY) },
    Case {
        name: "fifty-embedded",
        description: "40 MB to 50, embedded relay",
        kind: CaseKind::Share(SharedPayload { relay: RelayPlace::Embedded, ..FIFTY }),
    },
    Case {
        name: "tiny",
        description: "one file of 1 kB",
        kind: CaseKind::Share(SharedPayload { name: "tiny", payload: Payload::File(1000), repetitions: 10, ..LARGE }),
    },
    Case {
        name: "compress-random-never",
        description: "1 GB random, --compress never",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "never"], ..LARGE }),
    },
    Case {
        name: "compress-random-auto",
        description: "1 GB random, --compress auto",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "auto"], ..LARGE }),
    },
    Case {
        name: "compress-log-never",
        description: "500 MB of logs, never",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "never"], ..LOG }),
    },
    Case {
        name: "compress-log-auto",
        description: "500 MB of logs, auto",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "auto"], ..LOG }),
    },
    Case {
        name: "compress-slow-never",
        description: "20 MB of logs at 20 Mbit/s, never",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "never", "--limit-up", "2500kB"], ..SLOW }),
    },
    Case {
        name: "compress-slow-auto",
        description: "20 MB of logs at 20 Mbit/s, auto",
        kind: CaseKind::Share(SharedPayload { options: &["--compress", "auto", "--limit-up", "2500kB"], ..SLOW }),
    },
    Case {
        name: "bare-stream",
        description: "1 GB over a bare stream, no relay",
        kind: CaseKind::BareStream { bytes: GB, readers: 1 },
    },
    Case {
        name: "bare-stream-fifty",
        description: "40 MB over 50 bare streams",
        kind: CaseKind::BareStream { bytes: 40 * MB, readers: 50 },
    },
];

impl Case {
    /// Runs the case once, with new processes and new target folders.
    pub(super) fn run(&self, folder: &BenchFolder, round: usize) -> Result<Measurement> {
        match &self.kind {
            CaseKind::BareStream { bytes, readers } => bare_stream::run(*bytes, *readers),
            CaseKind::Share(shared) => self.run_share(shared, folder, round),
        }
    }

    fn run_share(&self, shared: &SharedPayload, folder: &BenchFolder, round: usize) -> Result<Measurement> {
        let SharedPayload { name, payload, relay, options, receivers, repetitions } = *shared;
        let source = payload.create(folder.path().join(name))?;
        let sharing = Sharing::start(folder.path(), relay, &source, options, receivers * repetitions)?;
        let mut usage = Vec::new();
        let mut seconds = Vec::new();
        let mut fairness = None;
        for repetition in 0..repetitions {
            let target = |n| folder.path().join(format!("out-{}-{round}-{repetition}-{n}", self.name));
            let targets: Vec<PathBuf> = (0..receivers).map(target).collect();
            let each = sharing.download(&targets, &mut usage)?;
            fairness = (receivers > 1).then(|| jain_index(each.iter().map(|s| payload.bytes() as f64 / s)));
            seconds.push(each.into_iter().fold(0.0, f64::max));
            for target in &targets {
                let copy = target.join(name);
                payload.check_size(&copy)?;
                let is_pipe = matches!(payload, Payload::Pipe(_)); // which is read once
                if round == 0 && repetition == 0 && !is_pipe {
                    check_content(&source, &copy)?;
                }
                remove_copy(payload, target)?;
            }
        }
        let (sender, relay) = sharing.finish()?;
        let bytes = payload.bytes() * receivers as u64;
        let receivers = ResourceUsage::total(&usage);
        Ok(Measurement { bytes, seconds, fairness, sender, relay, receivers })
    }
}

/// Removes a copy, unless it has many files: ext4 creates files slowly in places where many were just removed. Such
/// copies remain until the end of the benchmark.
fn remove_copy(payload: Payload, target: &Path) -> Result<()> {
    match payload {
        Payload::File(_) | Payload::Log(_) | Payload::Pipe(_) => Ok(fs::remove_dir_all(target)?),
        Payload::Files { .. } => Ok(()),
    }
}

/// Returns Jain's fairness index of some rates: 1 if all are equal, 1/n if one has everything (Jain, Chiu and Hawe
/// 1984).
fn jain_index(rates: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = rates.fold((0.0, 0.0, 0.0), |(n, sum, squares), r| (n + 1.0, sum + r, squares + r * r));
    sum * sum / (count * squares)
}
