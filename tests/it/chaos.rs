//! Processes that are killed and lines that are cut, at random, until the file has arrived: it must be the same file.
//!
//! The suite has a few faults. For more: `CHAOS_FAULTS=40 cargo test --test it -- chaos --nocapture`; what went wrong
//! comes again with `CHAOS_SEED`, as far as processes repeat at all.
#![allow(clippy::print_stdout, reason = "the seed, for whoever must see it again")]

use std::{fs, path::PathBuf, thread::sleep, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;

use crate::support::{
    FileTree, Process, RelayProcess, SenderProcess, TestEnv, UdpProxy, entry_names, write_random_file,
};

/// Bytes of content for each fault: so that there is always something left to be done.
const BYTES_A_FAULT: u64 = 20_000_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Everything that can be killed or cut.
struct Scene {
    env: TestEnv,
    shared: PathBuf,
    relay: Option<RelayProcess>,
    sender: Option<SenderProcess>,
    receiver: Option<Process>,
    /// Of the sender and of the receiver.
    proxies: [UdpProxy; 2],
    /// What both take the relay for.
    specs: [String; 2],
    code: String,
}

impl Scene {
    fn new(faults: u64) -> Self {
        let env = TestEnv::new();
        let shared = env.folder("t");
        write_random_file(&shared.join("big"), faults * BYTES_A_FAULT);
        fs::create_dir(shared.join("small")).unwrap();
        for i in 0..100 {
            fs::write(shared.join(format!("small/{i}")), format!("content {i}")).unwrap();
        }
        let relay = env.relay();
        let proxies = [(); 2].map(|()| UdpProxy::to(relay.addr.parse().unwrap()));
        let specs = [0, 1].map(|i: usize| format!("{}#{}", proxies[i].addr(), relay.pin));
        let mut scene =
            Self { env, shared, relay: Some(relay), sender: None, receiver: None, proxies, specs, code: String::new() };
        scene.start_sender();
        scene.code = scene.sender.as_ref().unwrap().code().to_owned();
        scene.start_receiver();
        scene
    }

    fn start_sender(&mut self) {
        self.sender = Some(self.env.send(&[&self.shared]).args(&["--relay", &self.specs[0]]).share());
    }

    fn start_receiver(&mut self) {
        let receiver = self.env.recv(&self.code, &self.env.path("in"));
        let options = ["--relay", &self.specs[1], "--limit-down", "25MB", "--retry-for", "2m"];
        self.receiver = Some(receiver.args(&options).start());
    }

    /// Waits until some more of it is there; `false` when all of it is. Whatever is away is waited for, also by a receiver
    /// that was started again.
    fn moves(&mut self, steps: u32) -> bool {
        let receiver = self.receiver.as_mut().unwrap();
        (0..steps).all(|_| receiver.first_of(&["progress", "finished"])["event"] == "progress")
    }

    fn kill_receiver(&mut self) {
        let receiver = self.receiver.take().unwrap();
        receiver.signal(Signal::KILL);
        receiver.end();
        self.start_receiver();
    }

    fn kill_sender(&mut self) {
        let sender = self.sender.take().unwrap();
        sender.process.signal(Signal::KILL);
        sender.process.end();
        self.start_sender();
        assert_eq!(self.sender.as_ref().unwrap().code(), self.code, "the code is the same");
    }

    fn kill_relay(&mut self, away: Duration) {
        let relay = self.relay.take().unwrap();
        relay.process.signal(Signal::KILL);
        relay.process.end();
        sleep(away);
        self.relay = Some(RelayProcess::start(self.env.qshare(&["relay", "--json", "--listen", &relay.addr])));
    }
}

#[test]
fn whatever_is_killed_or_cut_the_file_arrives() {
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    let faults = number("CHAOS_FAULTS").unwrap_or(6);
    println!("CHAOS_SEED={seed}, {faults} faults");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::new(faults);
    let mut is_over = false;
    for fault in 0..faults {
        if !scene.moves(random.random_range(1..10)) {
            is_over = true;
            break;
        }
        let outage = Duration::from_millis(random.random_range(0..9_000));
        let what = random.random_range(0..7);
        println!("fault {fault}: {what}, {outage:?}");
        match what {
            0 => scene.kill_receiver(),
            1 => scene.kill_sender(),
            2 => scene.kill_relay(outage / 4),
            3 | 4 => {
                scene.proxies[what - 3].block();
                sleep(outage);
                scene.proxies[what - 3].unblock();
            }
            5 => {
                scene.proxies.iter().for_each(UdpProxy::block);
                sleep(outage / 2);
                scene.proxies.iter().for_each(UdpProxy::unblock);
            }
            _ => scene.proxies[usize::from(random.random::<bool>())].rebind(),
        }
    }
    while !is_over && scene.moves(1_000) {}
    let into = scene.env.path("in");
    scene.receiver.take().unwrap().end().expect(0);
    assert_eq!(FileTree::of(&into.join("t")), FileTree::of(&scene.shared), "seed {seed}");
    assert_eq!(entry_names(&into), ["t"], "seed {seed}: nothing is left");
}

/// A connection lives on when an address changes under it: that is QUIC's own business, and nobody reconnects.
#[test]
fn an_address_that_changes_is_not_noticed() {
    let mut scene = Scene::new(5);
    for _ in 0..3 {
        assert!(scene.moves(3));
        scene.proxies[1].rebind();
    }
    while scene.moves(1_000) {}
    let ended = scene.receiver.take().unwrap().end().expect(0);
    assert!(ended.all("reconnecting").is_empty(), "{ended}");
    assert_eq!(FileTree::of(&scene.env.path("in/t")), FileTree::of(&scene.shared));
}
