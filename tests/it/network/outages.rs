//! Outages: legs that are cut, and relays that are killed, for longer than a connection lives. Both ends reconnect and
//! continue.

use std::{cell::Cell, slice::from_ref, time::Duration};

use qshare::internals::{
    code::Code,
    error::{Error, Kind},
    event::Event,
    relay::RelayConfig,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    join,
    time::{Instant, sleep},
};

use super::{
    join_all::join_all,
    units::{MS, SECOND},
};
use crate::{
    support::env_number,
    vnet::{
        CompletedDownload, LinkConfig, Network, NetworkPath, RelayKind, Scenario, ShareTask, mbit, run_in_virtual_time,
    },
};

const SIZE: usize = 20_000_000;

/// The legs that an outage cuts.
#[derive(Debug, Clone, Copy)]
enum CutLegs {
    Sender,
    Receiver,
    Both,
}

impl CutLegs {
    fn select<'a>(self, up: &'a NetworkPath, down: &'a NetworkPath) -> Vec<&'a NetworkPath> {
        match self {
            Self::Sender => vec![up],
            Self::Receiver => vec![down],
            Self::Both => vec![up, down],
        }
    }
}

fn count(share: &ShareTask, is_wanted: fn(&Event) -> bool) -> usize {
    share.events().iter().filter(|event| is_wanted(event)).count()
}

/// Returns the kinds and messages of the sender's failed downloads.
fn failures(share: &ShareTask) -> Vec<(Kind, String)> {
    let failed = |event| match event {
        Event::DownloadFailed { kind, error, .. } => Some((kind, error)),
        _ => None,
    };
    share.events().into_iter().filter_map(failed).collect()
}

#[test]
fn a_download_continues_within_3_s_after_an_outage_of_minutes() {
    for legs in [CutLegs::Sender, CutLegs::Receiver, CutLegs::Both] {
        downloads_continue_after_outages(RelayKind::Separate, legs);
    }
}

#[test]
fn a_download_from_an_embedded_relay_continues_within_3_s_after_an_outage_of_minutes() {
    downloads_continue_after_outages(RelayKind::Embedded, CutLegs::Receiver);
}

fn downloads_continue_after_outages(kind: RelayKind, legs: CutLegs) {
    for outage in [8 * SECOND, 20 * SECOND, 60 * SECOND, 300 * SECOND] {
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::with_kind(&network, kind, RelayConfig::default());
            let config = LinkConfig::new(mbit(100), 25 * MS);
            let file = scenario.scratch.file("file", SIZE);
            let (up, down) = (network.path(&config), network.path(&config));
            let share = scenario.share(&up, from_ref(&file)).await.unwrap();
            let cutting = async {
                sleep(800 * MS).await;
                legs.select(&up, &down).iter().for_each(|leg| leg.cut());
                sleep(outage).await;
                legs.select(&up, &down).iter().for_each(|leg| leg.restore());
                Instant::now()
            };
            let (download, restored) = join!(scenario.download(&down, &share.code), cutting);
            let download = download.unwrap();
            assert!(download.contains_copy_of(&file));
            let progress = download.progress();
            let before = progress.iter().filter(|(at, _)| *at < restored).map(|(_, bytes)| *bytes).max().unwrap();
            let continued = progress.iter().find(|(at, bytes)| *at > restored && *bytes > before).unwrap().0;
            let sending_link = match kind {
                RelayKind::Separate => &up.forward[0],
                RelayKind::Embedded => &down.reverse[0],
            };
            let sent = sending_link.counters().offered.bytes as f64 / SIZE as f64;
            let delay = continued - restored;
            println!("{legs:?} {outage:?}: continues {delay:?} after the outage, {sent:.2} bytes sent per byte");
            assert!(delay <= 3 * SECOND, "{legs:?}, {outage:?}: {delay:?}");
            assert!(sent < 1.6, "{legs:?}, {outage:?}: {sent}");
            assert_eq!(failures(&share), [], "{legs:?}, {outage:?}");
            share.stop().await.unwrap();
            scenario.stop().await;
        });
    }
}

/// A killed relay sends no notice, and the restarted one knows its clients only by their tickets.
#[test]
fn downloads_continue_within_3_s_after_a_killed_relay_has_restarted() {
    for outage in [Duration::ZERO, 2 * SECOND, 60 * SECOND] {
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::new(&network, RelayConfig::default());
            let config = LinkConfig::new(mbit(100), 25 * MS);
            let file = scenario.scratch.file("file", SIZE);
            let share = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
            let downs = [(); 3].map(|()| network.path(&config));
            let killing = async {
                sleep(1500 * MS).await;
                scenario.kill_relay();
                sleep(outage).await;
                scenario.restart_relay();
                Instant::now()
            };
            let downloading = join_all(downs.iter().map(|down| scenario.download(down, &share.code)));
            let (downloads, restarted) = join!(downloading, killing);
            assert_eq!(downloads.len(), downs.len());
            for download in downloads {
                let download = download.unwrap();
                assert!(download.contains_copy_of(&file));
                let continued = download.progress().iter().find(|(at, _)| *at > restarted + 100 * MS).unwrap().0;
                let delay = continued - restarted;
                println!("{outage:?}: continues {delay:?} after the restart");
                assert!(delay <= 3 * SECOND, "{outage:?}: {delay:?}");
            }
            assert_eq!(failures(&share), []);
            let late = scenario.download(&network.path(&config), &share.code).await.unwrap();
            assert!(late.contains_copy_of(&file), "the code is still valid");
            share.stop().await.unwrap();
            scenario.stop().await;
        });
    }
}

/// What a random fault interrupts.
#[derive(Debug, Clone, Copy)]
enum Fault {
    KilledRelay,
    CutLeg(usize),
}

/// A share with two receivers, and legs that are cut at random.
struct OutageTest {
    scenario: Scenario,
    /// The sender's leg, then those of the receivers.
    legs: [NetworkPath; 3],
    /// How long both downloads take without faults.
    undisturbed: Duration,
}

impl OutageTest {
    fn new(network: &Network, random: &mut StdRng) -> Self {
        let scenario = Scenario::new(network, RelayConfig::default());
        let rate = mbit(random.random_range(5..200));
        let config = LinkConfig::new(rate, random.random_range(1..100) * MS).loss(random.random_range(0.0..0.03));
        let legs = [(); 3].map(|()| network.path(&config));
        Self { scenario, legs, undisturbed: Duration::from_secs_f64(SIZE as f64 / rate as f64) }
    }

    /// Injects one to seven faults, one after another. Returns them with the lengths of their outages. The first one
    /// comes while the downloads run.
    async fn inject_faults(&self, random: &mut StdRng) -> Vec<(Fault, Duration)> {
        let mut faults = Vec::new();
        for _ in 0..random.random_range(1..8) {
            sleep(self.undisturbed.mul_f64(random.random_range(0.02..0.4))).await;
            let outage = random.random_range(1..25_000) * MS;
            let fault = match random.random_range(0..4) {
                0 => Fault::KilledRelay,
                leg => Fault::CutLeg(leg - 1),
            };
            faults.push((fault, outage));
            match fault {
                Fault::KilledRelay => {
                    self.scenario.kill_relay();
                    sleep(outage).await;
                    self.scenario.restart_relay();
                }
                Fault::CutLeg(leg) => {
                    self.legs[leg].cut();
                    sleep(outage).await;
                    self.legs[leg].restore();
                }
            }
        }
        faults
    }

    /// Downloads as a user does who repeats the command if it fails. A receiver fails if it connects while the sender
    /// is away, but it must not fail once the faults are over and both ends have had time to reconnect.
    async fn download(
        &self,
        down: &NetworkPath,
        code: &Code,
        faults_ended: &Cell<Option<Instant>>,
    ) -> Result<CompletedDownload, Error> {
        const TIME_TO_RECONNECT: Duration = Duration::from_secs(30);
        loop {
            let failure = match self.scenario.download(down, code).await {
                Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Network) => failure,
                result => return result,
            };
            if faults_ended.get().is_some_and(|ended| ended.elapsed() > TIME_TO_RECONNECT) {
                return Err(failure);
            }
            sleep(SECOND).await;
        }
    }
}

/// Legs cut and relays killed at random, for a share with two receivers at a time.
///
/// The suite runs a few fixed seeds. `CHAOS_SEEDS=500 cargo test --test it outages::at_random -- --nocapture` runs that
/// many from a random one on, and `CHAOS_SEED` repeats a single one.
#[test]
fn at_random_outages_every_download_completes() {
    let seeds = match (env_number("CHAOS_SEED"), env_number("CHAOS_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => {
            let first = u64::from(rand::random::<u32>());
            first..first + count
        }
        (None, None) => 0..12,
    };
    println!("seeds {seeds:?}");
    for seed in seeds {
        run_in_virtual_time(seed, async |network| survive_random_faults(&network, seed).await);
    }
}

async fn survive_random_faults(network: &Network, seed: u64) {
    /// Longer than a sender keeps the session of a receiver that does not reattach.
    const SESSION_LIFETIME: Duration = Duration::from_secs(15 * 60);
    let mut random = StdRng::seed_from_u64(seed);
    let test = OutageTest::new(network, &mut random);
    let file = test.scenario.scratch.file("file", SIZE / 2);
    let [up, downs @ ..] = &test.legs;
    let share = test.scenario.share(up, from_ref(&file)).await.unwrap();
    let faults_ended = Cell::new(None);
    let injecting = async {
        let faults = test.inject_faults(&mut random).await;
        faults_ended.set(Some(Instant::now()));
        faults
    };
    let downloading = join_all(downs.iter().map(|down| test.download(down, &share.code, &faults_ended)));
    let (downloads, faults) = join!(downloading, injecting);
    let what = format!("seed {seed}: {faults:?}");
    assert_eq!(downloads.len(), downs.len());
    for download in downloads {
        let download = download.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(download.contains_copy_of(&file), "{what}");
    }
    assert_eq!(failures(&share), [], "{what}");

    // A receiver that has everything does not wait for ever until the sender acknowledges it. If it left before, the
    // sender ends that download when its session expires.
    sleep(SESSION_LIFETIME).await;
    let started = count(&share, |event| matches!(event, Event::DownloadStarted { .. }));
    let finished = count(&share, |event| matches!(event, Event::DownloadFinished { .. }));
    assert!(started >= downs.len(), "{what}");
    assert_eq!(finished + failures(&share).len(), started, "{what}");
    share.stop().await.unwrap_or_else(|e| panic!("{what}: the share is not idle: {e}"));
    test.scenario.stop().await;
}
