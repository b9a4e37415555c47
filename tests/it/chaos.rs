//! Random faults between real processes: whatever is killed or cut, the downloaded files must equal the shared ones.
//!
//! The suite runs a few faults from a fixed seed. `CHAOS_FAULTS=40 cargo test --test it chaos -- --nocapture` runs
//! more, from a random seed that it prints. `CHAOS_SEED` repeats a run, as far as processes repeat at all.

use std::{fs, path::PathBuf, thread, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{
    FileTree, Process, RelayProcess, SenderProcess, TestEnv, UdpProxy, entry_names, env_number, write_random_file,
};

/// Bytes of content per fault, so that no fault comes after the end of the download.
const BYTES_PER_FAULT: u64 = 20_000_000;

/// The seed of the suite. Its six faults are of six kinds.
const SUITE_SEED: u64 = 232;

/// A relay, a sender and a receiver, with a proxy on each leg.
struct ChaosTest {
    env: TestEnv,
    shared: PathBuf,
    relay: Option<RelayProcess>,
    sender: Option<SenderProcess>,
    receiver: Option<Process>,
    /// The proxies on the legs of the sender and of the receiver.
    proxies: [UdpProxy; 2],
    /// The `--relay` arguments of both, which name the proxies.
    specs: [String; 2],
    code: String,
}

impl ChaosTest {
    fn new(faults: u64) -> Self {
        let env = TestEnv::new();
        let shared = env.folder("t");
        write_random_file(&shared.join("big"), faults * BYTES_PER_FAULT);
        fs::create_dir(shared.join("small")).unwrap();
        for i in 0..100 {
            fs::write(shared.join(format!("small/{i}")), format!("content {i}")).unwrap();
        }
        let relay = env.relay();
        let proxies = [(); 2].map(|()| UdpProxy::to(relay.addr.parse().unwrap()));
        let specs = [0, 1].map(|i: usize| format!("{}#{}", proxies[i].addr(), relay.pin));
        let mut test =
            Self { env, shared, relay: Some(relay), sender: None, receiver: None, proxies, specs, code: String::new() };
        test.start_sender();
        test.code = test.sender.as_ref().unwrap().code().to_owned();
        test.start_receiver();
        test
    }

    fn start_sender(&mut self) {
        self.sender = Some(self.env.send(&[&self.shared]).args(&["--relay", &self.specs[0]]).share());
    }

    fn start_receiver(&mut self) {
        let receiver = self.env.recv(&self.code, &self.env.path("in"));
        let options = ["--relay", &self.specs[1], "--limit-down", "25MB", "--retry-for", "2m"];
        self.receiver = Some(receiver.args(&options).start());
    }

    /// Waits for `steps` progress events. Returns `false` if the download finished before.
    fn wait_for_progress(&mut self, steps: u32) -> bool {
        let receiver = self.receiver.as_mut().unwrap();
        (0..steps).all(|_| receiver.first_of(&["progress", "finished"])["event"] == "progress")
    }

    /// Waits until the download finishes.
    fn wait_for_end(&mut self) {
        while self.wait_for_progress(1_000) {}
    }

    fn restart_receiver(&mut self) {
        self.receiver.take().unwrap().kill();
        self.start_receiver();
    }

    fn restart_sender(&mut self) {
        self.sender.take().unwrap().process.kill();
        self.start_sender();
        assert_eq!(self.sender.as_ref().unwrap().code(), self.code, "a restarted sender keeps its code");
    }

    fn restart_relay(&mut self, outage: Duration) {
        let relay = self.relay.take().unwrap();
        relay.process.kill();
        last(outage);
        self.relay = Some(RelayProcess::start(self.env.qshare(&["relay", "--json", "--listen", &relay.addr])));
    }

    /// Blocks some of the legs, the sender's first.
    fn block(&self, legs: &[usize], outage: Duration) {
        legs.iter().for_each(|leg| self.proxies[*leg].block());
        last(outage);
        legs.iter().for_each(|leg| self.proxies[*leg].unblock());
    }
}

/// Waits for the length of an outage. This is a real sleep, because the processes run in real time and no event ends an
/// outage.
fn last(outage: Duration) {
    thread::sleep(outage);
}

#[test]
fn the_files_arrive_whatever_is_killed_or_cut() {
    let long_run = env_number("CHAOS_FAULTS");
    let seed = env_number("CHAOS_SEED").unwrap_or(if long_run.is_some() { rand::random() } else { SUITE_SEED });
    let faults = long_run.unwrap_or(6);
    println!("CHAOS_SEED={seed}, {faults} faults");
    let mut random = StdRng::seed_from_u64(seed);
    let mut test = ChaosTest::new(faults);
    let mut injected = 0;
    while injected < faults && test.wait_for_progress(random.random_range(1..10)) {
        let outage = Duration::from_millis(random.random_range(0..9_000));
        let kind = random.random_range(0..7);
        println!("fault {injected}: {kind}, {outage:?}");
        match kind {
            0 => test.restart_receiver(),
            1 => test.restart_sender(),
            2 => test.restart_relay(outage / 4),
            3 => test.block(&[0], outage),
            4 => test.block(&[1], outage),
            5 => test.block(&[0, 1], outage / 2),
            _ => test.proxies[usize::from(random.random::<bool>())].rebind(),
        }
        injected += 1;
    }
    assert!(injected >= faults / 2, "the download ended after {injected} of {faults} faults");
    if injected == faults {
        test.wait_for_end();
    }
    let into = test.env.path("in");
    test.receiver.take().unwrap().end().expect(0);
    assert_eq!(FileTree::of(&into.join("t")), FileTree::of(&test.shared), "seed {seed}");
    assert_eq!(entry_names(&into), ["t"], "seed {seed}: no staging folder is left");
}

/// QUIC migrates the connection to the new address, without a reconnect.
#[test]
fn a_download_survives_a_change_of_address_without_reconnecting() {
    let mut test = ChaosTest::new(5);
    for _ in 0..3 {
        assert!(test.wait_for_progress(3));
        test.proxies[1].rebind();
    }
    test.wait_for_end();
    let received = test.receiver.take().unwrap().end().expect(0);
    assert!(received.all("reconnecting").is_empty(), "{received}");
    assert_eq!(FileTree::of(&test.env.path("in/t")), FileTree::of(&test.shared));
}
