//! Lines that die, and relays that end, just when a download or a share does: both ends still agree on how it went.

use std::{path::Path, slice::from_ref, time::Duration};

use qshare::{
    error::Kind,
    event::{Event, StopReason},
    relay::RelayConfig,
    transfer::ShareSettings,
};
use tokio::{
    join,
    time::{Instant, sleep, sleep_until},
};

use crate::vnet::{Line, Sharing, World, mbit, virtually};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn once(file: &Path) -> ShareSettings {
    ShareSettings { paths: vec![file.to_owned()], max_downloads: Some(1), ..ShareSettings::default() }
}

fn finished(sharing: &Sharing) -> usize {
    sharing.events().iter().filter(|event| matches!(event, Event::DownloadFinished { .. })).count()
}

/// One leg, the sender's or the receiver's, dies at the very end, for so long: how long does the receiver take?
fn cut_at_the_end(senders: bool, cut: Option<Duration>, dead: Duration) -> Duration {
    virtually(1, async |network| {
        let world = World::new(&network, RelayConfig::default());
        let line = Line::new(mbit(100), 25 * MS);
        let file = world.scratch.file("file", 2_000_000);
        let (up, down) = (network.way(&line), network.way(&line));
        let sharing = world.share_with(&up, once(&file)).await.unwrap();
        let began = Instant::now();
        let leg = if senders { &up } else { &down };
        let cutting = async {
            if let Some(cut) = cut {
                sleep_until(began + cut).await;
                leg.cut();
                sleep(dead).await;
                leg.heal();
            }
        };
        let (received, ()) = join!(world.receive(&down, &sharing.code), cutting);
        let received = received.unwrap();
        assert!(received.holds(&file), "{cut:?}");
        assert_eq!(finished(&sharing), 1, "cut {cut:?}: the sender knows");
        assert_eq!(sharing.ended().await.unwrap(), StopReason::Once, "cut {cut:?}");
        world.stop().await;
        received.took
    })
}

#[test]
fn a_line_that_dies_at_the_very_end_does_not_hide_that_it_was_the_end() {
    let took = cut_at_the_end(false, None, Duration::ZERO);
    for before in [90, 76, 74, 72, 70, 68, 66, 64, 62, 60, 55, 50, 45, 35] {
        cut_at_the_end(false, took.checked_sub(before * MS), 20 * SECOND);
        cut_at_the_end(true, took.checked_sub(before * MS), 20 * SECOND);
    }
}

/// As an embedded relay has it.
fn draining() -> RelayConfig {
    RelayConfig { drain_timeout: 3 * SECOND, ..RelayConfig::default() }
}

/// A sender that has its relay in its own process is heard by that at once, however much waits there for the receiver.
#[test]
fn a_relay_that_ends_with_its_sender_passes_on_that_it_is_the_end() {
    for (rate, delay) in [(2, 25), (10, 10), (50, 25), (100, 2), (1000, 5)] {
        virtually(1, async |network| {
            let world = World::new(&network, draining());
            let file = world.scratch.file("file", 400_000_000);
            let up = network.way(&Line::new(mbit(10_000), Duration::ZERO));
            let down = network.way(&Line::new(mbit(rate), delay * MS));
            let sharing = world.share(&up, from_ref(&file)).await.unwrap();
            let code = sharing.code.clone();
            let stopping = async {
                sleep(SECOND).await;
                let ended = sharing.stop().await;
                world.end_relay().await;
                assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted);
                Instant::now()
            };
            let receiving = async { (world.receive(&down, &code).await, Instant::now()) };
            let ((received, over), stopped) = join!(receiving, stopping);
            let (told, after) = (received.err().unwrap(), over.saturating_duration_since(stopped));
            assert_eq!(told.kind(), Kind::NotFound, "{rate} Mbit/s: {told}");
            assert!(after < SECOND, "{rate} Mbit/s: {after:?}");
        });
    }
}

#[test]
fn a_relay_that_ends_with_its_sender_passes_on_that_all_is_well() {
    for seed in 0..25 {
        virtually(seed, async |network| {
            let world = World::new(&network, draining());
            let file = world.scratch.file("file", 100_000);
            let up = network.way(&Line::new(mbit(10_000), Duration::ZERO));
            let down = network.way(&Line::new(mbit(20), 25 * MS).loss(0.05));
            let sharing = world.share_with(&up, once(&file)).await.unwrap();
            let code = sharing.code.clone();
            let ending = async {
                let ended = sharing.ended().await;
                world.end_relay().await;
                assert_eq!(ended.unwrap(), StopReason::Once);
            };
            let (received, ()) = join!(world.receive(&down, &code), ending);
            let took = received.unwrap().took;
            assert!(took < 5 * SECOND, "seed {seed}: {took:?}");
        });
    }
}

/// A share whose time is up, with a download that runs and a leg that dies for so long.
async fn expires(world: &World, dead: Option<Duration>) -> (Result<(), Kind>, Duration) {
    let line = Line::new(mbit(20), 25 * MS);
    let file = world.scratch.file("file", 20_000_000);
    let (up, down) = (world.network.way(&line), world.network.way(&line));
    let settings = ShareSettings { paths: vec![file.clone()], expire: Some(2 * SECOND), ..ShareSettings::default() };
    let sharing = world.share_with(&up, settings).await.unwrap();
    let (began, code) = (Instant::now(), sharing.code.clone());
    let ending = async {
        assert_eq!(sharing.ended().await.unwrap(), StopReason::Expired);
        began.elapsed()
    };
    let others = async {
        sleep(4 * SECOND).await;
        down.cut();
        let late = world.receive(&world.network.way(&line), &code).await;
        assert_eq!(late.err().map(|e| e.kind()), Some(Kind::NotFound), "its time is up");
        if let Some(dead) = dead {
            sleep(dead).await;
            down.heal();
        }
    };
    let receiving = async { world.receive(&down, &code).await.map(drop).map_err(|e| e.kind()) };
    let (received, (), ended) = join!(receiving, others, ending);
    (received, ended)
}

#[test]
fn a_download_finishes_after_the_time_of_its_share_is_up_though_its_line_dies() {
    virtually(1, async |network| {
        let world = World::new(&network, RelayConfig::default());
        assert_eq!(expires(&world, Some(15 * SECOND)).await.0, Ok(()));
    });
}

#[test]
fn a_share_whose_time_is_up_does_not_wait_for_ever() {
    virtually(1, async |network| {
        let world = World::new(&network, RelayConfig::default());
        let (received, ended) = expires(&world, None).await;
        assert_eq!(received, Err(Kind::Network));
        assert!(ended < 100 * SECOND, "{ended:?}");
    });
}
