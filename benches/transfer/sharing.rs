//! A relay, a sender that shares through it, and its receivers.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Instant,
};

use qshare::internals::code::Link;

use crate::support::{
    Result,
    process::{BenchProcess, ResourceUsage, qshare},
};

/// Where the relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RelayPlace {
    OwnProcess,
    /// In the sender's process.
    Embedded,
}

/// A relay, a sender that shares through it, and the link of the share.
pub(super) struct Sharing {
    home: PathBuf,
    /// The process of the relay, if it has one.
    relay: Option<BenchProcess>,
    sender: BenchProcess,
    link: String,
}

impl Sharing {
    /// Starts a relay and a sender with these options, which exits after `downloads` downloads.
    pub(super) fn start(
        home: &Path,
        place: RelayPlace,
        source: &Path,
        options: &[&str],
        downloads: usize,
    ) -> Result<Self> {
        let mut command = qshare(home, "sender");
        command.args(["send", "--max-downloads", &downloads.to_string()]).args(options);
        let relay = match place {
            RelayPlace::Embedded => None,
            RelayPlace::OwnProcess => {
                let (relay, spec) = start_relay(home)?;
                command.args(["--relay", &spec]);
                Some(relay)
            }
        };
        let sender = BenchProcess::start("sender", command.arg(source))?;
        let (_, sharing) = sender.wait_for_event("sharing")?;
        let link = sharing["link"].as_str().ok_or("the sender reports no link")?;
        let link = match place {
            RelayPlace::OwnProcess => link.to_owned(),
            RelayPlace::Embedded => on_loopback(link)?,
        };
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
        let sender = self.sender.wait_for_success()?;
        Ok((sender, self.relay.map_or(Ok(ResourceUsage::default()), BenchProcess::kill)?))
    }
}

/// Starts a relay. Returns the argument of `--relay` too.
fn start_relay(home: &Path) -> Result<(BenchProcess, String)> {
    let mut command = qshare(home, "relay");
    let relay = BenchProcess::start("relay", command.args(["relay", "--listen", "127.0.0.1:0"]))?;
    let (_, listening) = relay.wait_for_event("relay_listening")?;
    let (Some(addr), Some(pin)) = (listening["addr"].as_str(), listening["pin"].as_str()) else {
        return Err("the relay reports no address".into());
    };
    let spec = format!("{addr}#{pin}");
    Ok((relay, spec))
}

/// Replaces the addresses of this machine in a link, so that both kinds of relay are measured over loopback.
fn on_loopback(link: &str) -> Result<String> {
    let mut link = Link::parse(link)?;
    link.relay = SocketAddr::from((Ipv4Addr::LOCALHOST, link.relay.port)).into();
    link.alternatives.clear();
    Ok(link.reveal().to_string())
}
