//! The cases: what is sent to how many.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    Result,
    data::{Folder, Load, check_content},
    process::{Process, Usage, qshare},
    yardstick,
};

/// One line of the table.
pub(super) struct Case {
    /// A word to choose it by.
    pub(super) name: &'static str,
    /// What happens.
    pub(super) what: &'static str,
    kind: Kind,
}

enum Kind {
    /// Through the relay, to so many receivers at once, and so often one after another.
    Share { load: Load, at_once: usize, times: usize },
    /// So many bytes over a bare stream to each of so many readers.
    Yardstick { bytes: u64, readers: usize },
}

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

pub(super) const CASES: [Case; 7] = [
    Case {
        name: "one-file",
        what: "one file of 1 GB",
        kind: Kind::Share { load: Load::File(GB), at_once: 1, times: 1 },
    },
    Case {
        name: "small-files",
        what: "10,000 files of 4 KiB",
        kind: Kind::Share { load: Load::Files { count: 10_000, each: 4096 }, at_once: 1, times: 1 },
    },
    Case {
        name: "receivers",
        what: "200 MB to 5 receivers at once",
        kind: Kind::Share { load: Load::File(200 * MB), at_once: 5, times: 1 },
    },
    Case {
        name: "fifty",
        what: "40 MB to 50 receivers at once",
        kind: Kind::Share { load: Load::File(40 * MB), at_once: 50, times: 1 },
    },
    Case {
        name: "tiny",
        what: "one file of 1 kB",
        kind: Kind::Share { load: Load::File(1000), at_once: 1, times: 10 },
    },
    Case {
        name: "yardstick",
        what: "1 GB over a bare stream, no relay",
        kind: Kind::Yardstick { bytes: GB, readers: 1 },
    },
    Case {
        name: "yardstick-fifty",
        what: "40 MB over 50 bare streams",
        kind: Kind::Yardstick { bytes: 40 * MB, readers: 50 },
    },
];

/// What a case took, once.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Bytes of content that arrived, all receivers together, each time.
    pub(super) bytes: u64,
    /// From the start of the receivers' processes to the last one's `finished`, for each time.
    pub(super) seconds: Vec<f64>,
    /// How evenly receivers at once were served, where there were several.
    pub(super) fairness: Option<f64>,
    pub(super) sender: Usage,
    pub(super) relay: Usage,
    pub(super) receivers: Usage,
}

impl Case {
    /// Runs it once, with new processes and new target folders.
    pub(super) fn run(&self, folder: &Folder, round: usize) -> Result<Outcome> {
        match self.kind {
            Kind::Yardstick { bytes, readers } => yardstick::run(bytes, readers),
            Kind::Share { load, at_once, times } => {
                let source = load.make(folder.path().join(self.name))?;
                let sharing = Sharing::start(folder.path(), &source, at_once * times)?;
                let mut receivers = Vec::new();
                let mut seconds = Vec::new();
                let mut fairness = None;
                for time in 0..times {
                    let target = |n| folder.path().join(format!("out-{}-{round}-{time}-{n}", self.name));
                    let targets: Vec<PathBuf> = (0..at_once).map(target).collect();
                    let each = sharing.receive(&targets, &mut receivers)?;
                    fairness = (at_once > 1).then(|| jain(each.iter().map(|seconds| load.bytes() as f64 / seconds)));
                    seconds.push(each.into_iter().fold(0.0, f64::max));
                    for target in &targets {
                        let copy = target.join(self.name);
                        load.check_size(&copy)?;
                        if round == 0 && time == 0 {
                            check_content(&source, &copy)?;
                        }
                        clear(load, target)?;
                    }
                }
                let (sender, relay) = sharing.end()?;
                let receivers = Usage::of_all(&receivers);
                Ok(Outcome { bytes: load.bytes() * at_once as u64, seconds, fairness, sender, relay, receivers })
            }
        }
    }
}

/// Removes a copy, unless it has so many files that it must wait for the end: ext4 is slow to make files where as many
/// were just removed.
fn clear(load: Load, target: &Path) -> Result<()> {
    match load {
        Load::File(_) => Ok(fs::remove_dir_all(target)?),
        Load::Files { .. } => Ok(()),
    }
}

/// A relay, a sender that shares through it, and the link of the share.
struct Sharing {
    home: PathBuf,
    relay: Process,
    sender: Process,
    link: String,
}

impl Sharing {
    fn start(home: &Path, source: &Path, downloads: usize) -> Result<Self> {
        let mut command = qshare(home, "relay");
        let relay = Process::start("relay", command.args(["relay", "--listen", "127.0.0.1:0"]))?;
        let (_, listening) = relay.event("relay_listening")?;
        let (Some(addr), Some(pin)) = (listening["addr"].as_str(), listening["pin"].as_str()) else {
            return Err("the relay does not say where it listens".into());
        };
        let mut command = qshare(home, "sender");
        command.args(["send", "--relay", &format!("{addr}#{pin}"), "--max-downloads", &downloads.to_string()]);
        let sender = Process::start("sender", command.arg(source))?;
        let (_, sharing) = sender.event("sharing")?;
        let link = sharing["link"].as_str().ok_or("the sender shows no link")?.to_owned();
        Ok(Self { home: home.to_owned(), relay, sender, link })
    }

    /// Receives into all of `targets` at once; gives the seconds of each, all from the start of the first, and adds what
    /// each receiver used.
    fn receive(&self, targets: &[PathBuf], used: &mut Vec<Usage>) -> Result<Vec<f64>> {
        targets.iter().try_for_each(fs::create_dir)?;
        let began = Instant::now();
        let receive = |target: &PathBuf| {
            let mut command = qshare(&self.home, "receiver");
            Process::start("receiver", command.args(["recv", "--yes", "--out"]).arg(target).arg(&self.link))
        };
        let receivers = targets.iter().map(receive).collect::<Result<Vec<_>>>()?;
        let ended = |receiver: &Process| Ok((receiver.event("finished")?.0 - began).as_secs_f64());
        let seconds = receivers.iter().map(ended).collect::<Result<Vec<_>>>()?;
        for receiver in receivers {
            used.push(receiver.finish()?);
        }
        Ok(seconds)
    }

    /// Waits for the sender, which has served all, and ends the relay.
    fn end(self) -> Result<(Usage, Usage)> {
        Ok((self.sender.finish()?, self.relay.stop()?))
    }
}

/// Jain's fairness index of rates: 1 where all are equal, 1/n where one has everything (Jain, Chiu and Hawe 1984).
fn jain(rates: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = rates.fold((0.0, 0.0, 0.0), |(n, sum, squares), r| (n + 1.0, sum + r, squares + r * r));
    sum * sum / (count * squares)
}
