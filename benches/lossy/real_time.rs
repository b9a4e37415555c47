//! Compares transfers in virtual time with real processes over emulated links in real time.

use std::{
    net::SocketAddr,
    path::Path,
    slice::from_ref,
    time::{Duration, Instant},
};

use qshare::internals::relay::RelayConfig;
use tokio::task::spawn_blocking;

use crate::{
    support::{
        Result,
        process::{BenchProcess, qshare},
    },
    udp_emulator::UdpEmulator,
    vnet::{LinkConfig, Network, Scenario, ScratchDir, mbit, run_in_real_time, run_in_virtual_time},
};

/// Mbit/s.
const RATE: u64 = 100;

/// The round-trip time of each leg.
const LEG: Duration = Duration::from_millis(25);

const BYTES: usize = 60_000_000;

/// Measures all loss rates in virtual and in real time and prints the table.
pub(super) fn run() -> Result<()> {
    println!(
        "\n60 MB between processes, {RATE} Mbit/s, two legs of {LEG:?}, UDP through a link emulator on this machine.\n"
    );
    println!("loss/leg | minimum s | virtual s | real s | difference");
    for loss in [0.0, 0.005, 0.025, 0.05] {
        let link = LinkConfig::new(mbit(RATE), LEG).loss(loss);
        let minimum = BYTES as f64 / link.max_goodput();
        let virtual_time = virtual_seconds(&link);
        let real_time = run_in_real_time(1, async |network| real_seconds(&network, &link).await)?;
        println!(
            "{:>6.1} % | {minimum:>9.2} | {virtual_time:>9.2} | {real_time:>6.2} | {:>+8.1} %",
            loss * 100.0,
            (real_time / virtual_time - 1.0) * 100.0
        );
    }
    Ok(())
}

fn virtual_seconds(link: &LinkConfig) -> f64 {
    run_in_virtual_time(1, async |network: Network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", BYTES);
        let sharing = scenario.share(&network.path(link), from_ref(&file)).await.unwrap();
        scenario.download(&network.path(link), &sharing.code).await.unwrap().duration.as_secs_f64()
    })
}

/// Returns the seconds from the start of the receiver's process to its `finished` event.
async fn real_seconds(network: &Network, link: &LinkConfig) -> Result<f64> {
    let scratch = ScratchDir::new();
    let file = scratch.file("file", BYTES);
    let mut command = qshare(&scratch.path(""), "relay");
    let relay = BenchProcess::start("relay", command.args(["relay", "--listen", "127.0.0.1:0"]))?;
    let (_, listening) = relay.wait_for_event("relay_listening")?;
    let (addr, pin) = (listening["addr"].as_str().unwrap_or_default(), listening["pin"].as_str().unwrap_or_default());
    let addr: SocketAddr = addr.parse()?;
    let up = UdpEmulator::bind(network, link, addr).await?;
    let down = UdpEmulator::bind(network, link, addr).await?;
    let relays = [&up, &down].map(|leg| format!("{}#{pin}", leg.addr()));
    // The emulators run on this thread, so another one waits for the processes.
    let transfer = spawn_blocking(move || transfer_seconds(&scratch, &file, &relays).map_err(|e| e.to_string()));
    tokio::select! {
        seconds = transfer => Ok(seconds??),
        () = up.run() => unreachable!(),
        () = down.run() => unreachable!(),
    }
}

fn transfer_seconds(scratch: &ScratchDir, file: &Path, [up, down]: &[String; 2]) -> Result<f64> {
    let (home, out) = (scratch.path(""), scratch.folder("out"));
    let mut command = qshare(&home, "sender");
    let sender = BenchProcess::start("sender", command.args(["send", "--once", "--relay", up]).arg(file))?;
    let (_, sharing) = sender.wait_for_event("sharing")?;
    let mut command = qshare(&home, "receiver");
    command.env("QSHARE_CODE", sharing["code"].as_str().unwrap_or_default());
    command.args(["recv", "--yes", "--relay", down, "--out"]).arg(out);
    let start = Instant::now();
    let receiver = BenchProcess::start("receiver", &mut command)?;
    let (finished, _) = receiver.wait_for_event("finished")?;
    Ok((finished - start).as_secs_f64())
}
