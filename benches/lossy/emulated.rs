//! Real processes over emulated lines, in real time: does what is computed hold?

use std::{
    future::poll_fn,
    io::IoSliceMut,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    slice::from_ref,
    time::{Duration, Instant},
};

use qshare::relay::RelayConfig;
use quinn::{
    AsyncUdpSocket,
    udp::{RecvMeta, Transmit},
};
use tokio::{net::UdpSocket, task::spawn_blocking};

use crate::{
    Result,
    process::{Process, qshare},
    vnet::{LinkConfig, Network, Scenario, ScratchDir, VirtualSocket, mbit, run_in_real_time, run_in_virtual_time},
};

const RATE: u64 = 100;
const LEG: Duration = Duration::from_millis(25);
const BYTES: usize = 60_000_000;

pub(super) fn run() -> Result<()> {
    println!(
        "\n60 MB from process to process, {RATE} Mbit/s, two legs of {LEG:?}, UDP through a line emulator on this machine.\n"
    );
    println!("loss a leg | least s | virtual s | real s | apart");
    for loss in [0.0, 0.005, 0.025, 0.05] {
        let line = LinkConfig::new(mbit(RATE), LEG).loss(loss);
        let least = BYTES as f64 / line.max_goodput();
        let computed = computed(&line);
        let real = run_in_real_time(1, async |network| measured(&network, &line).await)?;
        println!(
            "{:>8.1} % | {least:>7.2} | {computed:>9.2} | {real:>6.2} | {:>+4.1} %",
            loss * 100.0,
            (real / computed - 1.0) * 100.0
        );
    }
    Ok(())
}

/// Seconds in virtual time.
fn computed(line: &LinkConfig) -> f64 {
    run_in_virtual_time(1, async |network: Network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", BYTES);
        let sharing = scenario.share(&network.path(line), from_ref(&file)).await.unwrap();
        scenario.download(&network.path(line), &sharing.code).await.unwrap().duration.as_secs_f64()
    })
}

/// Seconds from the start of the receiver to its end.
async fn measured(network: &Network, line: &LinkConfig) -> Result<f64> {
    let scratch = ScratchDir::new();
    let file = scratch.file("file", BYTES);
    let relay = Process::start("relay", qshare(&scratch.path(""), "relay").args(["relay", "--listen", "127.0.0.1:0"]))?;
    let (_, listening) = relay.event("relay_listening")?;
    let (addr, pin) = (listening["addr"].as_str().unwrap_or_default(), listening["pin"].as_str().unwrap_or_default());
    let addr: SocketAddr = addr.parse()?;
    let (up, carrying_up) = emulate(network, line, addr).await?;
    let (down, carrying_down) = emulate(network, line, addr).await?;
    let doors = [up, down].map(|leg| format!("{leg}#{pin}"));
    // The doors are kept open in between: whoever waits for a process does so on another thread.
    let transfer = spawn_blocking(move || transfer(&scratch, &file, &doors).map_err(|e| e.to_string()));
    tokio::select! {
        seconds = transfer => Ok(seconds??),
        () = carrying_up => unreachable!(),
        () = carrying_down => unreachable!(),
    }
}

fn transfer(scratch: &ScratchDir, file: &Path, [up, down]: &[String; 2]) -> Result<f64> {
    let (home, out) = (scratch.path(""), scratch.folder("out"));
    let sender = Process::start("sender", qshare(&home, "sender").args(["send", "--once", "--relay", up]).arg(file))?;
    let (_, sharing) = sender.event("sharing")?;
    let mut receiver = qshare(&home, "receiver");
    receiver.env("QSHARE_CODE", sharing["code"].as_str().unwrap_or_default());
    receiver.args(["recv", "--yes", "--relay", down, "--out"]).arg(out);
    let began = Instant::now();
    let receiver = Process::start("receiver", &mut receiver)?;
    let (ended, _) = receiver.event("finished")?;
    Ok((ended - began).as_secs_f64())
}

/// A door on this machine behind which the line to `far` begins.
/// It carries while the future runs.
async fn emulate(
    network: &Network,
    line: &LinkConfig,
    far: SocketAddr,
) -> Result<(SocketAddr, impl Future<Output = ()>)> {
    let (near, beyond) = (network.host(), network.host());
    network.connect(&near, &beyond, &network.path(line));
    let (here, there) = (near.bind(1), beyond.bind(1));
    let door = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let exit = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    exit.connect(far).await?;
    let addr = door.local_addr()?;
    let carrying = async move {
        // Whoever knocked last is the one client of this door.
        let client = tokio::sync::watch::Sender::new(None);
        tokio::join!(
            into(&door, &here, there.addr(), |from| {
                client.send_replace(Some(from));
            }),
            into(&exit, &there, here.addr(), |_| ()),
            out_of(&there, async |packet: &[u8]| drop(exit.send(packet).await)),
            out_of(&here, async |packet: &[u8]| {
                let to = *client.borrow();
                if let Some(to) = to {
                    let _ = door.send_to(packet, to).await;
                }
            }),
        );
    };
    Ok((addr, carrying))
}

async fn into(from: &UdpSocket, to: &VirtualSocket, destination: SocketAddr, seen: impl Fn(SocketAddr)) {
    let mut packet = vec![0; 65_536];
    loop {
        let Ok((length, source)) = from.recv_from(&mut packet).await else { continue };
        seen(source);
        let contents = &packet[..length];
        let _ = to.try_send(&Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None });
    }
}

async fn out_of(from: &VirtualSocket, to: impl AsyncFn(&[u8])) {
    let mut packet = vec![0; 65_536];
    loop {
        let mut meta = [RecvMeta::default()];
        let received = poll_fn(|cx| from.poll_recv(cx, &mut [IoSliceMut::new(&mut packet)], &mut meta)).await;
        if received.is_ok() {
            to(&packet[..meta[0].len]).await;
        }
    }
}
