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
    /// Sends through a relay to `receivers` receivers at once, `repetitions` times in succession.
    Share { payload: Payload, relay: RelayPlace, receivers: usize, repetitions: usize },
    /// Sends this many bytes over a bare stream to each of `readers` readers.
    BareStream { bytes: u64, readers: usize },
}

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

pub(super) const CASES: [Case; 9] = [
    Case {
        name: "one-file",
        description: "one file of 1 GB",
        kind: CaseKind::Share {
            payload: Payload::File(GB),
            relay: RelayPlace::OwnProcess,
            receivers: 1,
            repetitions: 1,
        },
    },
    Case {
        name: "one-file-embedded",
        description: "one file of 1 GB, embedded relay",
        kind: CaseKind::Share { payload: Payload::File(GB), relay: RelayPlace::Embedded, receivers: 1, repetitions: 1 },
    },
    Case {
        name: "small-files",
        description: "10,000 files of 4 KiB",
        kind: CaseKind::Share {
            payload: Payload::Files { count: 10_000, each: 4096 },
            relay: RelayPlace::OwnProcess,
            receivers: 1,
            repetitions: 1,
        },
    },
    Case {
        name: "receivers",
        description: "200 MB to 5 receivers at once",
        kind: CaseKind::Share {
            payload: Payload::File(200 * MB),
            relay: RelayPlace::OwnProcess,
            receivers: 5,
            repetitions: 1,
        },
    },
    Case {
        name: "fifty",
        description: "40 MB to 50 receivers at once",
        kind: CaseKind::Share {
            payload: Payload::File(40 * MB),
            relay: RelayPlace::OwnProcess,
            receivers: 50,
            repetitions: 1,
        },
    },
    Case {
        name: "fifty-embedded",
        description: "40 MB to 50, embedded relay",
        kind: CaseKind::Share {
            payload: Payload::File(40 * MB),
            relay: RelayPlace::Embedded,
            receivers: 50,
            repetitions: 1,
        },
    },
    Case {
        name: "tiny",
        description: "one file of 1 kB",
        kind: CaseKind::Share {
            payload: Payload::File(1000),
            relay: RelayPlace::OwnProcess,
            receivers: 1,
            repetitions: 10,
        },
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
        match self.kind {
            CaseKind::BareStream { bytes, readers } => bare_stream::run(bytes, readers),
            CaseKind::Share { payload, relay, receivers, repetitions } => {
                let source = payload.create(folder.path().join(self.name))?;
                let sharing = Sharing::start(folder.path(), relay, &source, receivers * repetitions)?;
                self.run_share(folder, sharing, round, payload, receivers, repetitions)
            }
        }
    }

    fn run_share(
        &self,
        folder: &BenchFolder,
        sharing: Sharing,
        round: usize,
        payload: Payload,
        receivers: usize,
        repetitions: usize,
    ) -> Result<Measurement> {
        let source = folder.path().join(self.name);
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
                let copy = target.join(self.name);
                payload.check_size(&copy)?;
                if round == 0 && repetition == 0 {
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
        Payload::File(_) => Ok(fs::remove_dir_all(target)?),
        Payload::Files { .. } => Ok(()),
    }
}

/// Returns Jain's fairness index of some rates: 1 if all are equal, 1/n if one has everything (Jain, Chiu and Hawe
/// 1984).
fn jain_index(rates: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = rates.fold((0.0, 0.0, 0.0), |(n, sum, squares), r| (n + 1.0, sum + r, squares + r * r));
    sum * sum / (count * squares)
}
