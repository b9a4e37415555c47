//! Real processes over emulated lines, in real time: does what is computed hold?

use std::{
    future::poll_fn,
    io::{BufRead, BufReader, IoSliceMut},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    slice::from_ref,
    time::{Duration, Instant},
};

use qshare::relay::Config;
use quinn::{
    AsyncUdpSocket,
    udp::{RecvMeta, Transmit},
};
use serde_json::Value;
use tokio::net::UdpSocket;

use crate::{
    Result,
    grid::EFFICIENCY,
    vnet::{Line, Network, Scratch, Socket, World, mbit, really, virtually},
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
        let line = Line::new(mbit(RATE), LEG).loss(loss);
        let least = BYTES as f64 / (mbit(RATE) as f64 * (1.0 - loss) * EFFICIENCY);
        let computed = computed(&line);
        let real = really(1, async |network| measured(&network, &line).await)?;
        println!(
            "{:>8.1} % | {least:>7.2} | {computed:>9.2} | {real:>6.2} | {:>+4.1} %",
            loss * 100.0,
            (real / computed - 1.0) * 100.0
        );
    }
    Ok(())
}

/// Seconds in virtual time.
fn computed(line: &Line) -> f64 {
    virtually(1, async |network: Network| {
        let world = World::new(&network, Config::default());
        let file = world.scratch.file("file", BYTES);
        let sharing = world.share(&network.way(line), from_ref(&file)).await.unwrap();
        world.receive(&network.way(line), &sharing.code).await.unwrap().took.as_secs_f64()
    })
}

/// Seconds from the start of the receiver to its end.
async fn measured(network: &Network, line: &Line) -> Result<f64> {
    let scratch = Scratch::new();
    let file = scratch.file("file", BYTES);
    let relay = Running::start(qshare(&scratch, "relay").args(["relay", "--listen", "127.0.0.1:0"]))?;
    let listening = relay.event("relay_listening").await?;
    let (addr, pin) = (listening["addr"].as_str().unwrap_or_default(), listening["pin"].as_str().unwrap_or_default());
    let addr: SocketAddr = addr.parse()?;
    let door = |leg: SocketAddr| format!("{leg}#{pin}");
    let (up, carrying_up) = emulate(network, line, addr).await?;
    let (down, carrying_down) = emulate(network, line, addr).await?;
    let transfer = async {
        let mut sender = qshare(&scratch, "sender");
        let sender = Running::start(sender.args(["send", "--once", "--relay", &door(up)]).arg(&file))?;
        let code = sender.event("sharing").await?["code"].as_str().unwrap_or_default().to_owned();
        let mut receiver = qshare(&scratch, "receiver");
        let out = scratch.folder("out");
        receiver.env("QSHARE_CODE", code).args(["recv", "--yes", "--relay", &door(down), "--out"]).arg(out);
        let began = Instant::now();
        let receiver = Running::start(&mut receiver)?;
        receiver.event("finished").await?;
        Ok(began.elapsed().as_secs_f64())
    };
    tokio::select! {
        seconds = transfer => seconds,
        () = carrying_up => unreachable!(),
        () = carrying_down => unreachable!(),
    }
}

/// A door on this machine behind which the line to `far` begins.
/// It carries while the future runs.
async fn emulate(network: &Network, line: &Line, far: SocketAddr) -> Result<(SocketAddr, impl Future<Output = ()>)> {
    let (near, beyond) = (network.host(), network.host());
    network.route(&near, &beyond, &network.way(line));
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

async fn into(from: &UdpSocket, to: &Socket, destination: SocketAddr, seen: impl Fn(SocketAddr)) {
    let mut packet = vec![0; 65_536];
    loop {
        let Ok((length, source)) = from.recv_from(&mut packet).await else { continue };
        seen(source);
        let contents = &packet[..length];
        let _ = to.try_send(&Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None });
    }
}

async fn out_of(from: &Socket, to: impl AsyncFn(&[u8])) {
    let mut packet = vec![0; 65_536];
    loop {
        let mut meta = [RecvMeta::default()];
        let received = poll_fn(|cx| from.poll_recv(cx, &mut [IoSliceMut::new(&mut packet)], &mut meta)).await;
        if received.is_ok() {
            to(&packet[..meta[0].len]).await;
        }
    }
}

/// The program, with a home of its own for each role.
fn qshare(scratch: &Scratch, role: &str) -> Command {
    let home = scratch.folder(&format!("home/{role}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_qshare"));
    command.arg("--json").env("HOME", &home).env("XDG_STATE_HOME", home.join("state"));
    command.env("XDG_CONFIG_HOME", home.join("config")).env_remove("QSHARE_RELAY").env_remove("QSHARE_CODE");
    command
}

/// A process that reports events. Killed when it is dropped.
struct Running {
    child: Child,
    events: tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Value>>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (tx, events) = tokio::sync::mpsc::unbounded_channel();
        let out = child.stdout.take().ok_or("no output")?;
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                let _ = tx.send(serde_json::from_str(&line).unwrap_or_default());
            }
        });
        Ok(Self { child, events: tokio::sync::Mutex::new(events) })
    }

    async fn event(&self, name: &str) -> Result<Value> {
        let mut events = self.events.lock().await;
        loop {
            let event = events.recv().await.ok_or_else(|| format!("a process ended without {name}"))?;
            if event["event"] == name {
                return Ok(event);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
