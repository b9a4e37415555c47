//! A relay, a sender that shares through it, and its receivers.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::support::{
    Result,
    process::{BenchProcess, ResourceUsage, qshare},
};

/// A relay, a sender that shares through it, and the link of the share.
pub(super) struct Sharing {
    home: PathBuf,
    relay: BenchProcess,
    sender: BenchProcess,
    link: String,
}

impl Sharing {
    /// Starts a relay and a sender, which exits after `downloads` downloads.
    pub(super) fn start(home: &Path, source: &Path, downloads: usize) -> Result<Self> {
        let mut command = qshare(home, "relay");
        let relay = BenchProcess::start("relay", command.args(["relay", "--listen", "127.0.0.1:0"]))?;
        let (_, listening) = relay.wait_for_event("relay_listening")?;
        let (Some(addr), Some(pin)) = (listening["addr"].as_str(), listening["pin"].as_str()) else {
            return Err("the relay reports no address".into());
        };
        let mut command = qshare(home, "sender");
        command.args(["send", "--relay", &format!("{addr}#{pin}"), "--max-downloads", &downloads.to_string()]);
        let sender = BenchProcess::start("sender", command.arg(source))?;
        let (_, sharing) = sender.wait_for_event("sharing")?;
        let link = sharing["link"].as_str().ok_or("the sender reports no link")?.to_owned();
        Ok(Self { home: home.to_owned(), relay, sender, link })
    }

    /// Downloads into all of `targets` at once. Returns the seconds of each download, counted from the start of the
    /// first process, and appends the resources of each receiver to `usage`.
    pub(super) fn download(&self, targets: &[PathBuf], usage: &mut Vec<ResourceUsage>) -> Result<Vec<f64>> {
        targets.iter().try_for_each(fs::create_dir)?;
        let start = Instant::now();
        let start_receiver = |target: &PathBuf| {
            let mut command = qshare(&self.home, "receiver");
            BenchProcess::start("receiver", command.args(["recv", "--yes", "--out"]).arg(target).arg(&self.link))
        };
        let receivers = targets.iter().map(start_receiver).collect::<Result<Vec<_>>>()?;
        let seconds_until_finished =
            |receiver: &BenchProcess| Ok((receiver.wait_for_event("finished")?.0 - start).as_secs_f64());
        let seconds = receivers.iter().map(seconds_until_finished).collect::<Result<Vec<_>>>()?;
        for receiver in receivers {
            usage.push(receiver.wait_for_success()?);
        }
        Ok(seconds)
    }

    /// Waits until the sender has exited, and kills the relay. Returns the resources of both, in this order.
    pub(super) fn finish(self) -> Result<(ResourceUsage, ResourceUsage)> {
        Ok((self.sender.wait_for_success()?, self.relay.kill()?))
    }
}
