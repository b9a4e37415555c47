//! Legs that die, relays that end and shares that expire just when a download ends: both ends still agree on its
//! outcome.

use std::{slice::from_ref, time::Duration};

use qshare::internals::{
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
use crate::vnet::{LinkConfig, NetworkPath, RelayKind, Scenario, ShareTask, mbit, run_in_virtual_time};

/// Returns the settings of `send --once`.
fn once() -> ShareSettings {
    ShareSettings { max_downloads: Some(1), ..ShareSettings::default() }
}

/// Returns how many downloads the sender has reported as finished.
fn finished(share: &ShareTask) -> usize {
    share.events().iter().filter(|event| matches!(event, Event::DownloadFinished { .. })).count()
}

/// A leg that is cut.
#[derive(Debug, Clone, Copy)]
enum Leg {
    Sender,
    Receiver,
}

/// An outage of one leg. It begins this long after the download.
#[derive(Debug, Clone, Copy)]
struct LegOutage {
    leg: Leg,
    begin: Duration,
    length: Duration,
}

impl LegOutage {
    async fn run(self, up: &NetworkPath, down: &NetworkPath) {
        let leg = match self.leg {
            Leg::Sender => up,
            Leg::Receiver => down,
        };
        sleep_until(Instant::now() + self.begin).await;
        leg.cut();
        sleep(self.length).await;
        leg.restore();
    }
}

/// Downloads a file from a share with `--once`, and checks that both ends report success. Returns the duration.
fn download_once(outage: Option<LegOutage>) -> Duration {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let file = scenario.scratch.file("file", 2_000_000);
        let (up, down) = (network.path(&config), network.path(&config));
        let share = scenario.share_with_settings(&up, from_ref(&file), once()).await.unwrap();
        let cutting = async {
            if let Some(outage) = outage {
                outage.run(&up, &down).await;
            }
        };
        let (download, ()) = join!(scenario.download(&down, &share.code), cutting);
        let download = download.unwrap();
        assert!(download.contains_copy_of(&file), "{outage:?}");
        assert_eq!(finished(&share), 1, "{outage:?}: the sender has not reported the end");
        assert_eq!(share.wait().await.unwrap(), StopReason::Once, "{outage:?}");
        scenario.stop().await;
        download.duration
    })
}

#[test]
fn both_ends_report_success_if_a_leg_dies_at_the_end_of_the_download() {
    let undisturbed = download_once(None);
    for before_end in [90, 76, 74, 72, 70, 68, 66, 64, 62, 60, 55, 50, 45, 35] {
        let begin = undisturbed.checked_sub(before_end * MS).expect("a download takes longer than 90 ms");
        for leg in [Leg::Receiver, Leg::Sender] {
            download_once(Some(LegOutage { leg, begin, length: 20 * SECOND }));
        }
    }
}

/// Returns the configuration of an embedded relay.
fn embedded_relay() -> RelayConfig {
    RelayConfig { drain_timeout: 3 * SECOND, ..RelayConfig::default() }
}

/// The end overtakes the bytes that the relay and the receiver's leg hold.
fn assert_that_the_receiver_learns_of_the_end_at_once(kind: RelayKind) {
    for (rate, delay) in [(2, 25), (10, 10), (50, 25), (100, 2), (1000, 5)] {
        run_in_virtual_time(1, async |network| {
            let scenario = Scenario::with_kind(&network, kind, embedded_relay());
            let file = scenario.scratch.file("file", 400_000_000);
            let up = network.path(&LinkConfig::new(mbit(10_000), Duration::ZERO));
            let down = network.path(&LinkConfig::new(mbit(rate), delay * MS));
            let share = scenario.share(&up, from_ref(&file)).await.unwrap();
            let code = share.code.clone();
            let stopping = async {
                sleep(SECOND).await;
                let stopped = share.stop().await;
                if kind == RelayKind::Embedded {
                    scenario.stop_relay().await;
                }
                assert_eq!(stopped.unwrap_err().kind(), Kind::Interrupted);
                Instant::now()
            };
            let downloading = async { (scenario.download(&down, &code).await, Instant::now()) };
            let ((download, failed), stopped) = join!(downloading, stopping);
            let (failure, after) = (download.err().unwrap(), failed.saturating_duration_since(stopped));
            assert_eq!(failure.kind(), Kind::NotFound, "{rate} Mbit/s: {failure}");
            assert!(after < SECOND, "{rate} Mbit/s: {after:?}");
        });
    }
}

#[test]
fn an_embedded_relay_that_ends_tells_the_receiver_that_the_share_was_stopped() {
    assert_that_the_receiver_learns_of_the_end_at_once(RelayKind::Embedded);
}

#[test]
fn a_separate_relay_tells_the_receiver_that_the_share_was_stopped() {
    assert_that_the_receiver_learns_of_the_end_at_once(RelayKind::Separate);
}

#[test]
fn an_embedded_relay_that_ends_delivers_the_end_of_a_complete_download() {
    for seed in 0..25 {
        run_in_virtual_time(seed, async |network| {
            let scenario = Scenario::with_kind(&network, RelayKind::Embedded, embedded_relay());
            let file = scenario.scratch.file("file", 100_000);
            let up = network.path(&LinkConfig::new(mbit(10_000), Duration::ZERO));
            let down = network.path(&LinkConfig::new(mbit(20), 25 * MS).loss(0.05));
            let share = scenario.share_with_settings(&up, from_ref(&file), once()).await.unwrap();
            let code = share.code.clone();
            let ending = async {
                let ended = share.wait().await;
                scenario.stop_relay().await;
                assert_eq!(ended.unwrap(), StopReason::Once);
            };
            let (download, ()) = join!(scenario.download(&down, &code), ending);
            let duration = download.unwrap().duration;
            assert!(duration < 5 * SECOND, "seed {seed}: {duration:?}");
        });
    }
}

/// Runs a download whose share expires after two seconds, and whose leg dies two seconds later, for `outage` or for
/// good. Checks that a new receiver is refused. Returns the result of the download, and when the share ended.
async fn download_from_expiring_share(scenario: &Scenario, outage: Option<Duration>) -> (Result<(), Kind>, Duration) {
    let config = LinkConfig::new(mbit(20), 25 * MS);
    let file = scenario.scratch.file("file", 20_000_000);
    let (up, down) = (scenario.network.path(&config), scenario.network.path(&config));
    let settings = ShareSettings { expire: Some(2 * SECOND), ..ShareSettings::default() };
    let share = scenario.share_with_settings(&up, from_ref(&file), settings).await.unwrap();
    let (began, code) = (Instant::now(), share.code.clone());
    let ending = async {
        assert_eq!(share.wait().await.unwrap(), StopReason::Expired);
        began.elapsed()
    };
    let cutting = async {
        sleep(4 * SECOND).await;
        down.cut();
        let late = scenario.download(&scenario.network.path(&config), &code).await;
        assert_eq!(late.err().map(|e| e.kind()), Some(Kind::NotFound), "the share has expired");
        if let Some(outage) = outage {
            sleep(outage).await;
            down.restore();
        }
    };
    let downloading = async { scenario.download(&down, &code).await.map(drop).map_err(|e| e.kind()) };
    let (download, (), ended) = join!(downloading, cutting, ending);
    (download, ended)
}

#[test]
fn a_download_survives_an_outage_after_its_share_has_expired() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        assert_eq!(download_from_expiring_share(&scenario, Some(15 * SECOND)).await.0, Ok(()));
    });
}

#[test]
fn an_expired_share_waits_at_most_100_s_for_a_lost_receiver() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let (download, ended) = download_from_expiring_share(&scenario, None).await;
        assert_eq!(download, Err(Kind::Network));
        assert!(ended < 100 * SECOND, "{ended:?}");
    });
}
