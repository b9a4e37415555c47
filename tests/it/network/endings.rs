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

use super::units::{MS, SECOND};
use crate::vnet::{LinkConfig, Scenario, ShareTask, mbit, run_in_virtual_time};

fn once(file: &Path) -> ShareSettings {
    ShareSettings { paths: vec![file.to_owned()], max_downloads: Some(1), ..ShareSettings::default() }
}

fn finished(sharing: &ShareTask) -> usize {
    sharing.events().iter().filter(|event| matches!(event, Event::DownloadFinished { .. })).count()
}

/// One leg, the sender's or the receiver's, dies at the very end, for so long: how long does the receiver take?
fn cut_at_the_end(senders: bool, cut: Option<Duration>, dead: Duration) -> Duration {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let file = scenario.scratch.file("file", 2_000_000);
        let (up, down) = (network.path(&config), network.path(&config));
        let sharing = scenario.share_with_settings(&up, once(&file)).await.unwrap();
        let began = Instant::now();
        let leg = if senders { &up } else { &down };
        let cutting = async {
            if let Some(cut) = cut {
                sleep_until(began + cut).await;
                leg.cut();
                sleep(dead).await;
                leg.restore();
            }
        };
        let (received, ()) = join!(scenario.download(&down, &sharing.code), cutting);
        let received = received.unwrap();
        assert!(received.contains_copy_of(&file), "{cut:?}");
        assert_eq!(finished(&sharing), 1, "cut {cut:?}: the sender knows");
        assert_eq!(sharing.wait().await.unwrap(), StopReason::Once, "cut {cut:?}");
        scenario.stop().await;
        received.duration
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
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::new(&network, draining());
            let file = scenario.scratch.file("file", 400_000_000);
            let up = network.path(&LinkConfig::new(mbit(10_000), Duration::ZERO));
            let down = network.path(&LinkConfig::new(mbit(rate), delay * MS));
            let sharing = scenario.share(&up, from_ref(&file)).await.unwrap();
            let code = sharing.code.clone();
            let stopping = async {
                sleep(SECOND).await;
                let ended = sharing.stop().await;
                scenario.stop_relay().await;
                assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted);
                Instant::now()
            };
            let receiving = async { (scenario.download(&down, &code).await, Instant::now()) };
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
        run_in_virtual_time(seed, async |network| {
            let scenario = Scenario::new(&network, draining());
            let file = scenario.scratch.file("file", 100_000);
            let up = network.path(&LinkConfig::new(mbit(10_000), Duration::ZERO));
            let down = network.path(&LinkConfig::new(mbit(20), 25 * MS).loss(0.05));
            let sharing = scenario.share_with_settings(&up, once(&file)).await.unwrap();
            let code = sharing.code.clone();
            let ending = async {
                let ended = sharing.wait().await;
                scenario.stop_relay().await;
                assert_eq!(ended.unwrap(), StopReason::Once);
            };
            let (received, ()) = join!(scenario.download(&down, &code), ending);
            let took = received.unwrap().duration;
            assert!(took < 5 * SECOND, "seed {seed}: {took:?}");
        });
    }
}

/// A share whose time is up, with a download that runs and a leg that dies for so long.
async fn expires(scenario: &Scenario, dead: Option<Duration>) -> (Result<(), Kind>, Duration) {
    let config = LinkConfig::new(mbit(20), 25 * MS);
    let file = scenario.scratch.file("file", 20_000_000);
    let (up, down) = (scenario.network.path(&config), scenario.network.path(&config));
    let settings = ShareSettings { paths: vec![file.clone()], expire: Some(2 * SECOND), ..ShareSettings::default() };
    let sharing = scenario.share_with_settings(&up, settings).await.unwrap();
    let (began, code) = (Instant::now(), sharing.code.clone());
    let ending = async {
        assert_eq!(sharing.wait().await.unwrap(), StopReason::Expired);
        began.elapsed()
    };
    let others = async {
        sleep(4 * SECOND).await;
        down.cut();
        let late = scenario.download(&scenario.network.path(&config), &code).await;
        assert_eq!(late.err().map(|e| e.kind()), Some(Kind::NotFound), "its time is up");
        if let Some(dead) = dead {
            sleep(dead).await;
            down.restore();
        }
    };
    let receiving = async { scenario.download(&down, &code).await.map(drop).map_err(|e| e.kind()) };
    let (received, (), ended) = join!(receiving, others, ending);
    (received, ended)
}

#[test]
fn a_download_finishes_after_the_time_of_its_share_is_up_though_its_line_dies() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        assert_eq!(expires(&scenario, Some(15 * SECOND)).await.0, Ok(()));
    });
}

#[test]
fn a_share_whose_time_is_up_does_not_wait_for_ever() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let (received, ended) = expires(&scenario, None).await;
        assert_eq!(received, Err(Kind::Network));
        assert!(ended < 100 * SECOND, "{ended:?}");
    });
}
