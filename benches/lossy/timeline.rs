//! The timeline of one download: when each step happens, and how fast both legs start.

use std::{cell::RefCell, slice::from_ref, time::Duration};

use qshare::internals::relay::RelayConfig;
use tokio::time::{Instant, sleep};

use crate::vnet::{EmulatedLink, LinkConfig, LogRecorder, Network, Scenario, mbit, run_in_virtual_time};

/// Mbit/s.
const RATE: u64 = 50;

/// The round-trip time of the whole path; each leg has half of it.
const ROUND_TRIP: Duration = Duration::from_millis(360);

/// Eight seconds at [`RATE`].
const SECONDS: f64 = 8.0;

/// The steps, the log message that marks each, and the earliest time of each in round trips of the whole path. A step
/// at the receiver needs whole round trips after the handshake with the relay, which takes half of one.
const STEPS: [(&str, &str, f64); 11] = [
    ("receiver: QUIC handshake done", "connected to a relay", 0.5),
    ("relay: request received, bridged", "a receiver is bridged", 0.75),
    ("sender: flight 1 received", "sent its hello", 1.0),
    ("sender: flight 2 written", "flight 2 is written", 1.0),
    ("receiver: relay's reply received", "the relay has replied", 1.0),
    ("receiver: flight 2 received, 3 sent", "session confirmed after", 1.5),
    ("receiver: request queued", "the request is queued", 1.5),
    ("sender: flight 3 received", "has confirmed", 2.0),
    ("sender: request received", "the files are requested", 2.0),
    ("receiver: first record received", "a record has arrived", 2.5),
    ("receiver: last record, DONE sent", "the completion is sealed", f64::NAN),
];

/// Prints the timelines without loss and with 7 % loss on each leg.
pub(super) fn run() {
    for loss in [0.0, 0.07] {
        run_in_virtual_time(1, async |network: Network| timeline(&network, loss).await);
    }
}

async fn timeline(network: &Network, loss: f64) {
    let link = LinkConfig::new(mbit(RATE), ROUND_TRIP / 2).loss(loss);
    let scenario = Scenario::new(network, RelayConfig::default());
    let file = scenario.scratch.file("file", (link.max_goodput() * SECONDS) as usize);
    let (up, down) = (network.path(&link), network.path(&link));
    let sharing = scenario.share(&up, from_ref(&file)).await.unwrap();
    let (log, _recording) = LogRecorder::start();
    let began = Instant::now();
    let starts = LegStarts::default();
    let download = tokio::select! {
        download = scenario.download(&down, &sharing.code) => download.unwrap(),
        () = starts.sample([&up.forward[0], &down.reverse[0]]) => unreachable!(),
    };
    println!("\n{RATE} Mbit/s, {ROUND_TRIP:?} over two legs, {:.0} % loss on each: times in ms and RTTs", loss * 100.0);
    println!("{:<38} {:>8} {:>7} {:>9}", "step", "ms", "RTTs", "at least");
    let print = |step: &str, at: Duration, least: f64| {
        let rtts = at.as_secs_f64() / ROUND_TRIP.as_secs_f64();
        println!("{step:<38} {:>8.1} {rtts:>7.2} {least:>9.2}", at.as_secs_f64() * 1e3);
    };
    for (step, message, least) in STEPS {
        let at = log.times_of(message).into_iter().find(|at| *at >= began).expect("a step is missing");
        let least = if least.is_nan() { 2.5 + SECONDS / ROUND_TRIP.as_secs_f64() } else { least };
        print(step, at - began, least);
    }
    let least = 3.5 + SECONDS / ROUND_TRIP.as_secs_f64();
    let acknowledged = log.times_of("the completion is acknowledged").pop().expect("a step is missing");
    print("receiver: DONE acknowledged", acknowledged - began, least);
    print("receiver: exit", download.duration, least);
    starts.print();
}

/// The share of each leg's rate that was used in each round trip of the leg.
#[derive(Default)]
struct LegStarts(RefCell<Vec<[f64; 2]>>);

impl LegStarts {
    /// Samples both legs once per round trip. Never completes.
    async fn sample(&self, legs: [&EmulatedLink; 2]) {
        let offered = || legs.map(|leg| leg.counters().offered.bytes);
        let full = mbit(RATE) as f64 * (ROUND_TRIP / 2).as_secs_f64();
        loop {
            let before = offered();
            sleep(ROUND_TRIP / 2).await;
            let after = offered();
            self.0.borrow_mut().push([0, 1].map(|leg| (after[leg] - before[leg]) as f64 / full));
        }
    }

    fn print(&self) {
        println!("Bytes sent per round trip of the leg, as a share of its rate, from 0.5 RTTs of the path on:");
        for (leg, name) in ["sender to relay", "relay to receiver"].into_iter().enumerate() {
            print!("{name:<18}");
            self.0.borrow().iter().skip(1).take(24).for_each(|shares| print!(" {:.2}", shares[leg]));
            println!();
            print!("{:<18}", "... at the end");
            let skipped = self.0.borrow().len().saturating_sub(24);
            self.0.borrow().iter().skip(skipped).for_each(|shares| print!(" {:.2}", shares[leg]));
            println!();
        }
    }
}
