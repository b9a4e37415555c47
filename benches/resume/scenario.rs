//! A relay, a sender that shares one path through it, and receivers.

use std::path::{Path, PathBuf};

use crate::support::{
    Result,
    process::{BenchProcess, qshare},
};

/// A rate limit that loopback never reaches.
pub(super) const UNLIMITED: &str = "100GB";

/// A relay and a sender that shares one path through it.
pub(super) struct Scenario {
    home: PathBuf,
    pub(super) relay: BenchProcess,
    pub(super) sender: BenchProcess,
    /// The address at which the relay listens.
    pub(super) relay_addr: String,
    link: String,
}

impl Scenario {
    /// Starts both. `limit` is the sender's rate limit.
    pub(super) fn start(home: &Path, source: &Path, limit: &str) -> Result<Self> {
        let (relay, relay_addr, pin) = start_relay(home, "127.0.0.1:0")?;
        let mut command = qshare(home, "sender");
        let spec = format!("{relay_addr}#{pin}");
        let sender =
            BenchProcess::start("sender", command.args(["send", "--limit-up", limit, "--relay", &spec]).arg(source))?;
        let (_, sharing) = sender.wait_for_event("sharing")?;
        let link = sharing["link"].as_str().ok_or("the sender reports no link")?.to_owned();
        Ok(Self { home: home.to_owned(), relay, sender, relay_addr, link })
    }

    /// Starts receiver `number`, which has its own state folder and receives at most `limit` per second.
    pub(super) fn start_receiver(&self, number: usize, target: &Path, limit: &str) -> Result<BenchProcess> {
        let mut command = qshare(&self.home, &format!("receiver-{number}"));
        command.args(["recv", "--yes", "--limit-down", limit, "--out"]).arg(target).arg(&self.link);
        BenchProcess::start("receiver", &mut command)
    }
}

/// Starts a relay and returns it with its address and pin.
pub(super) fn start_relay(home: &Path, listen: &str) -> Result<(BenchProcess, String, String)> {
    let relay = BenchProcess::start("relay", qshare(home, "relay").args(["relay", "--listen", listen]))?;
    let (_, listening) = relay.wait_for_event("relay_listening")?;
    let field = |name: &str| listening[name].as_str().map(str::to_owned).ok_or("the relay reports no address");
    let (addr, pin) = (field("addr")?, field("pin")?);
    Ok((relay, addr, pin))
}
