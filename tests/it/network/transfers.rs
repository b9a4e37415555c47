//! Transfers between the real relay, sender and receivers over impaired links.

use std::{slice::from_ref, time::Duration};

use qshare::internals::relay::RelayConfig;
use tokio::{
    join,
    time::{Instant, sleep},
};

use super::units::MS;
use crate::vnet::{CompletedDownload, LinkConfig, Network, NetworkPath, Scenario, mbit, run_in_virtual_time};

/// Transfers one file. The sender and the receiver each have their own path to the relay.
async fn transfer(network: &Network, size: usize, sender: &NetworkPath, receiver: &NetworkPath) -> CompletedDownload {
    let scenario = Scenario::new(network, RelayConfig::default());
    let file = scenario.scratch.file("file", size);
    let share = scenario.share(sender, from_ref(&file)).await.unwrap();
    let download = scenario.download(receiver, &share.code).await.unwrap();
    assert!(download.contains_copy_of(&file));
    share.stop().await.unwrap();
    scenario.stop().await;
    download
}

/// Prints the figures of a download, shown with `--nocapture`.
fn print_figures(download: &CompletedDownload, what: &str) {
    println!(
        "{what}: {:.2} Mbit/s, connected after {:?}, offered after {:?}, complete after {:?}",
        download.goodput() / 1e6,
        download.connected_after,
        download.offered_after,
        download.duration
    );
}

#[test]
fn a_download_over_a_clean_path_fills_it() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let (up, down) = (network.path(&config), network.path(&config));
        let download = transfer(&network, 20_000_000, &up, &down).await;
        print_figures(&download, "100 Mbit/s, 2 x 25 ms");
        // A connection takes one round trip of its leg, and the offer one round trip of the whole path.
        assert!(download.connected_after < 30 * MS, "{:?}", download.connected_after);
        assert!(download.offered_after < 85 * MS, "{:?}", download.offered_after);
        let goodput = download.goodput() / 1e6;
        assert!((60.0..96.0).contains(&goodput), "{goodput} Mbit/s");
        let sent = up.forward[0].counters().offered.bytes as f64 / 20e6;
        assert!(sent < 1.2, "{sent} bytes sent per byte delivered");
    });
}

#[test]
fn lost_packets_are_retransmitted_on_both_legs() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS).loss(0.01);
        let (up, down) = (network.path(&config), network.path(&config));
        let download = transfer(&network, 1_000_000, &up, &down).await;
        print_figures(&download, "1 % lost on each leg");
        for link in [&up.forward[0], &down.reverse[0]] {
            let counters = link.counters();
            assert!(counters.lost.packets > 0 && counters.offered.bytes > 1_000_000, "{counters:?}");
        }
    });
}

#[test]
fn a_connection_survives_an_outage_of_5_s() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let (up, down) = (network.path(&config), network.path(&config));
        let cutting = async {
            sleep(500 * MS).await;
            down.cut();
            sleep(5000 * MS).await;
            down.restore();
        };
        let (download, ()) = join!(transfer(&network, 10_000_000, &up, &down), cutting);
        print_figures(&download, "cut for 5 s");
        assert!(download.duration > 5500 * MS, "{:?}", download.duration);
        assert!(download.duration < 12_000 * MS, "{:?}", download.duration);
        assert!(down.reverse[0].counters().cut.packets > 0);
    });
}

#[test]
fn a_download_continues_after_its_receiver_was_paused() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let file = scenario.scratch.file("file", 5_000_000);
        let share = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
        let (path, code) = (network.path(&config), &share.code);
        let pausing = async {
            sleep(300 * MS).await;
            scenario.receiver_hosts()[0].pause();
            sleep(4000 * MS).await;
            scenario.receiver_hosts()[0].resume();
        };
        let (download, ()) = join!(scenario.download(&path, code), pausing);
        let download = download.unwrap();
        print_figures(&download, "stopped for 4 s");
        assert!(download.contains_copy_of(&file));
        assert!(download.duration > 4300 * MS, "{:?}", download.duration);
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}

#[test]
fn reordered_and_duplicated_packets_do_no_harm() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(50), 40 * MS).jitter(5 * MS).reordering(0.02, 8 * MS).duplication(0.02);
        let (up, down) = (network.path(&config), network.path(&config));
        let download = transfer(&network, 5_000_000, &up, &down).await;
        print_figures(&download, "jitter, reordering, duplication");
        assert!(up.forward[0].counters().duplicated.packets > 0);
    });
}

#[test]
fn four_receivers_behind_one_bottleneck_fill_it() {
    const RECEIVERS: usize = 4;
    const SIZE: usize = 5_000_000;
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", SIZE);
        let up = network.path(&LinkConfig::new(mbit(1000), 10 * MS));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        let bottleneck = network.path(&LinkConfig::new(mbit(100), 20 * MS));
        let began = Instant::now();
        let receive = || scenario.download(&bottleneck, &share.code);
        let (a, b, c, d) = join!(receive(), receive(), receive(), receive());
        let took = began.elapsed();
        for download in [a, b, c, d] {
            let download = download.unwrap();
            assert!(download.contains_copy_of(&file));
            print_figures(&download, "one of four");
        }
        let together = (RECEIVERS * SIZE * 8) as f64 / took.as_secs_f64() / 1e6;
        println!("together {together:.2} Mbit/s");
        assert!((50.0..96.0).contains(&together), "{together} Mbit/s");
        assert!(bottleneck.reverse[0].counters().delivered.bytes > (RECEIVERS * SIZE) as u64);
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}

#[test]
fn the_duration_of_a_transfer_repeats_within_2_percent() {
    for config in [LinkConfig::new(mbit(100), 25 * MS), LinkConfig::new(mbit(100), 25 * MS).loss(0.002)] {
        let run = || {
            run_in_virtual_time(1, async |network| {
                let (up, down) = (network.path(&config), network.path(&config));
                transfer(&network, 5_000_000, &up, &down).await.duration
            })
        };
        let all: Vec<Duration> = (0..4).map(|_| run()).collect();
        println!("{all:?}");
        let (min, max) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
        assert!(max < min.mul_f64(1.02), "{all:?}");
    }
}

/// A running download that fills the sender's leg does not delay the offer to a new receiver.
#[test]
fn a_new_receiver_gets_its_offer_within_1_s_beside_a_running_download() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", 15_000_000);
        let share = scenario.share(&network.path(&LinkConfig::new(mbit(20), 50 * MS)), from_ref(&file)).await.unwrap();
        let wide = network.path(&LinkConfig::new(mbit(1000), 10 * MS));
        let later = async {
            sleep(3000 * MS).await;
            scenario.download(&wide, &share.code).await
        };
        let (first, second) = join!(scenario.download(&wide, &share.code), later);
        let (first, second) = (first.unwrap(), second.unwrap());
        print_figures(&first, "the first");
        print_figures(&second, "3 s later");
        assert!(first.contains_copy_of(&file) && second.contains_copy_of(&file));
        assert!(second.offered_after < 1000 * MS, "{:?}", second.offered_after);
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}
