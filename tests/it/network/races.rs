//! A sender that is reachable through the relay and nearby: which of them a receiver uses, and what the other costs.

use std::{slice::from_ref, time::Duration};

use qshare::internals::{
    event::Event,
    net::Dialer,
    relay::RelayConfig,
    route::Route,
    transfer::{Nearby, NearbySearch},
};
use tokio::{sync::mpsc, time::sleep};

use super::units::{MS, SECOND};
use crate::vnet::{LinkConfig, Network, NetworkPath, Scenario, ShareTask, mbit, run_in_virtual_time};

/// A share at a relay and nearby, and a receiver with a path to both.
struct Race {
    scenario: Scenario,
    share: ShareTask,
    receiver: crate::vnet::Host,
    relay_path: NetworkPath,
    nearby_path: NetworkPath,
}

impl Race {
    /// Starts the share. `relay_rtt` is the round-trip time of each leg to the relay.
    async fn new(network: &Network, relay_rtt: Duration, nearby_rtt: Duration, bytes: usize) -> Self {
        let scenario = Scenario::new(network, RelayConfig::default());
        let path = |rtt| network.path(&LinkConfig::new(mbit(50), rtt));
        let (relay_path, nearby_path) = (path(relay_rtt), path(nearby_rtt));
        let file = scenario.scratch.file("file", bytes);
        let share = scenario.share_nearby(&path(relay_rtt), from_ref(&file)).await.unwrap();
        let receiver = scenario.add_host(&relay_path);
        network.connect(&receiver, &share.host, &nearby_path);
        Self { scenario, share, receiver, relay_path, nearby_path }
    }

    /// Returns a search that finds the share after `delay`.
    fn nearby(&self, delay: Duration) -> Nearby {
        let dialer = self.scenario.nearby_dialer(&self.receiver, &self.share);
        Nearby::from_fn(move || {
            let (offer, found) = mpsc::channel::<Dialer>(1);
            let dialer = dialer.clone();
            tokio::spawn(async move {
                sleep(delay).await;
                let _ = offer.send(dialer).await; // fails if the search has ended
            });
            NearbySearch { found, networks: Some(1) }
        })
    }

    /// Downloads, and returns the routes: of the end, and those to which the download moved.
    async fn download(&self, found_after: Duration) -> (Route, Vec<Route>) {
        let nearby = self.nearby(found_after);
        let download = self.scenario.download_at(self.receiver.clone(), &self.share.code, Some(nearby)).await.unwrap();
        let moved = download.events().into_iter().filter_map(|event| match event {
            Event::Path { path, .. } => Some(path),
            _ => None,
        });
        (download.finished.route, moved.collect())
    }

    /// Waits until every attempt is decided, and checks that the sender got all of them back.
    async fn assert_no_attempt_is_lost(self) {
        sleep(20 * SECOND).await;
        let lost = self.share.events().into_iter().filter(|event| matches!(event, Event::WrongCode { .. })).count();
        assert_eq!(lost, 0);
        self.share.stop().await.unwrap();
    }
}

#[test]
fn the_relay_that_answers_first_is_used() {
    run_in_virtual_time(1, async |network| {
        let race = Race::new(&network, 20 * MS, MS, 100_000).await;
        let (route, moved) = race.download(MS).await;
        assert_ne!(route, Route::Relay);
        assert!(moved.is_empty(), "{moved:?}");
        race.assert_no_attempt_is_lost().await;
    });
}

#[test]
fn a_search_that_finds_nothing_does_not_delay_the_relay() {
    run_in_virtual_time(7, async |network| {
        let mut offered_after = Vec::new();
        for searches in [false, true] {
            let race = Race::new(&network, 20 * MS, MS, 1_000).await;
            let nearby = searches.then(|| race.nearby(3_600 * SECOND));
            let download = race.scenario.download_at(race.receiver.clone(), &race.share.code, nearby).await.unwrap();
            offered_after.push(download.offered_after);
        }
        println!("the offer came after {offered_after:?}");
        assert!(offered_after[1] <= offered_after[0] + MS, "{offered_after:?}");
    });
}

#[test]
fn a_download_moves_from_the_relay_to_a_network_that_answers_later() {
    run_in_virtual_time(2, async |network| {
        let race = Race::new(&network, 5 * MS, MS, 5_000_000).await;
        let (route, moved) = race.download(300 * MS).await;
        assert_ne!(route, Route::Relay);
        let carried = race.nearby_path.reverse[0].counters().delivered.bytes;
        assert!(carried > 2_500_000, "{carried} bytes were nearby");
        assert!(moved.len() <= 1, "{moved:?}"); // none if the download had not been accepted yet
        race.assert_no_attempt_is_lost().await;
    });
}

#[test]
fn the_slower_of_two_exchanges_is_confirmed_and_refunded() {
    run_in_virtual_time(3, async |network| {
        // The relay answers after 400 ms and needs another 800 ms; the exchange nearby begins after 700 ms and needs
        // 300.
        let race = Race::new(&network, 400 * MS, 300 * MS, 100_000).await;
        let (route, _) = race.download(Duration::ZERO).await;
        assert_ne!(route, Route::Relay);
        race.assert_no_attempt_is_lost().await;
    });
}

#[test]
fn a_relay_that_stalls_delays_the_other_by_300_ms() {
    run_in_virtual_time(4, async |network| {
        let race = Race::new(&network, 20 * MS, MS, 100_000).await;
        let stall = async {
            sleep(10 * MS).await; // after the lookup, before flight 2
            race.nearby_path.cut();
        };
        let nearby = race.nearby(MS);
        let download = race.scenario.download_at(race.receiver.clone(), &race.share.code, Some(nearby));
        let (download, ()) = tokio::join!(download, stall);
        let download = download.unwrap();
        println!("the offer came after {:?}", download.offered_after);
        assert_eq!(download.finished.files, 1);
    });
}

#[test]
fn a_download_continues_through_the_relay_when_the_network_is_left() {
    run_in_virtual_time(5, async |network| {
        let race = Race::new(&network, 20 * MS, MS, 30_000_000).await;
        let leave = async {
            sleep(2 * SECOND).await;
            race.nearby_path.cut();
        };
        let ((route, moved), ()) = tokio::join!(race.download(MS), leave);
        assert_eq!((route, &moved[..]), (Route::Relay, &[Route::Relay][..]));
    });
}

#[test]
fn a_download_continues_nearby_when_the_relay_is_lost() {
    run_in_virtual_time(6, async |network| {
        let race = Race::new(&network, 20 * MS, MS, 30_000_000).await;
        race.nearby_path.cut();
        let change = async {
            sleep(5 * SECOND).await;
            race.nearby_path.restore();
            race.relay_path.cut();
        };
        let ((route, moved), ()) = tokio::join!(race.download(MS), change);
        assert_ne!(route, Route::Relay);
        assert_eq!(moved.len(), 1, "{moved:?}");
    });
}
