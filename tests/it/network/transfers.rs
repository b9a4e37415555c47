//! The real relay, sender and receivers over bad lines.

use std::{slice::from_ref, time::Duration};

use qshare::relay::RelayConfig;
use tokio::{
    join,
    time::{Instant, sleep},
};

use super::units::MS;
use crate::vnet::{CompletedDownload, LinkConfig, Network, NetworkPath, Scenario, mbit, run_in_virtual_time};

/// One file from one sender to one receiver, each with a path of its own to the relay.
async fn transfer(network: &Network, size: usize, sender: &NetworkPath, receiver: &NetworkPath) -> CompletedDownload {
    let scenario = Scenario::new(network, RelayConfig::default());
    let file = scenario.scratch.file("file", size);
    let sharing = scenario.share(sender, from_ref(&file)).await.unwrap();
    let received = scenario.download(receiver, &sharing.code).await.unwrap();
    assert!(received.contains_copy_of(&file));
    sharing.stop().await.unwrap();
    scenario.stop().await;
    received
}

/// Tells what was seen, for whoever runs this with `--nocapture`.
fn tell(received: &CompletedDownload, what: &str) {
    println!(
        "{what}: {:.2} Mbit/s, connected after {:?}, offered after {:?}, complete after {:?}",
        received.goodput() / 1e6,
        received.connected_after,
        received.offered_after,
        received.duration
    );
}

#[test]
fn a_clean_line_is_filled() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let (up, down) = (network.path(&config), network.path(&config));
        let received = transfer(&network, 20_000_000, &up, &down).await;
        tell(&received, "100 Mbit/s, 2 x 25 ms");
        // A connection takes one round trip of its leg, and the offer one from end to end.
        assert!(received.connected_after < 30 * MS, "{:?}", received.connected_after);
        assert!(received.offered_after < 85 * MS, "{:?}", received.offered_after);
        let goodput = received.goodput() / 1e6;
        assert!((60.0..96.0).contains(&goodput), "{goodput} Mbit/s");
        let sent = up.forward[0].counters().offered.bytes as f64 / 20e6;
        assert!(sent < 1.2, "{sent} bytes sent for each byte delivered");
    });
}

#[test]
fn what_is_lost_is_sent_again() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS).loss(0.01);
        let (up, down) = (network.path(&config), network.path(&config));
        let received = transfer(&network, 1_000_000, &up, &down).await;
        tell(&received, "1 % lost on each leg");
        for link in [&up.forward[0], &down.reverse[0]] {
            let counters = link.counters();
            assert!(counters.lost.packets > 0 && counters.offered.bytes > 1_000_000, "{counters:?}");
        }
    });
}

#[test]
fn a_cut_that_heals_is_waited_out() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let (up, down) = (network.path(&config), network.path(&config));
        let cutting = async {
            sleep(500 * MS).await;
            down.cut();
            sleep(5000 * MS).await;
            down.restore();
        };
        let (received, ()) = join!(transfer(&network, 10_000_000, &up, &down), cutting);
        tell(&received, "cut for 5 s");
        assert!(received.duration > 5500 * MS, "{:?}", received.duration);
        assert!(received.duration < 12_000 * MS, "{:?}", received.duration);
        assert!(down.reverse[0].counters().cut.packets > 0);
    });
}

#[test]
fn a_receiver_that_stands_still_goes_on() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let config = LinkConfig::new(mbit(100), 25 * MS);
        let file = scenario.scratch.file("file", 5_000_000);
        let sharing = scenario.share(&network.path(&config), from_ref(&file)).await.unwrap();
        let (path, code) = (network.path(&config), &sharing.code);
        let pausing = async {
            sleep(300 * MS).await;
            scenario.receiver_hosts()[0].pause();
            sleep(4000 * MS).await;
            scenario.receiver_hosts()[0].resume();
        };
        let (received, ()) = join!(scenario.download(&path, code), pausing);
        let received = received.unwrap();
        tell(&received, "stopped for 4 s");
        assert!(received.contains_copy_of(&file));
        assert!(received.duration > 4300 * MS, "{:?}", received.duration);
        sharing.stop().await.unwrap();
        scenario.stop().await;
    });
}

#[test]
fn order_and_doubles_do_not_matter() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(50), 40 * MS).jitter(5 * MS).reordering(0.02, 8 * MS).duplication(0.02);
        let (up, down) = (network.path(&config), network.path(&config));
        let received = transfer(&network, 5_000_000, &up, &down).await;
        tell(&received, "jitter, reordering, duplication");
        assert!(up.forward[0].counters().duplicated.packets > 0);
    });
}

#[test]
fn receivers_share_a_bottleneck() {
    const RECEIVERS: usize = 4;
    const SIZE: usize = 5_000_000;
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", SIZE);
        let up = network.path(&LinkConfig::new(mbit(1000), 10 * MS));
        let sharing = scenario.share(&up, from_ref(&file)).await.unwrap();
        let bottleneck = network.path(&LinkConfig::new(mbit(100), 20 * MS));
        let began = Instant::now();
        let receive = || scenario.download(&bottleneck, &sharing.code);
        let (a, b, c, d) = join!(receive(), receive(), receive(), receive());
        let took = began.elapsed();
        for received in [a, b, c, d] {
            let received = received.unwrap();
            assert!(received.contains_copy_of(&file));
            tell(&received, "one of four");
        }
        let together = (RECEIVERS * SIZE * 8) as f64 / took.as_secs_f64() / 1e6;
        println!("together {together:.2} Mbit/s");
        assert!((50.0..96.0).contains(&together), "{together} Mbit/s");
        assert!(bottleneck.reverse[0].counters().delivered.bytes > (RECEIVERS * SIZE) as u64);
        sharing.stop().await.unwrap();
        scenario.stop().await;
    });
}

#[test]
fn a_transfer_repeats() {
    for config in [LinkConfig::new(mbit(100), 25 * MS), LinkConfig::new(mbit(100), 25 * MS).loss(0.002)] {
        let run = || {
            run_in_virtual_time(1, async |network| {
                let (up, down) = (network.path(&config), network.path(&config));
                transfer(&network, 5_000_000, &up, &down).await.duration
            })
        };
        let all: Vec<Duration> = (0..4).map(|_| run()).collect();
        println!("{all:?}");
        let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
        assert!(most < least.mul_f64(1.02), "{all:?}");
    }
}

/// A download that fills the line does not keep it from somebody new.
#[test]
fn a_newcomer_is_answered_beside_a_full_line() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", 15_000_000);
        let sharing =
            scenario.share(&network.path(&LinkConfig::new(mbit(20), 50 * MS)), from_ref(&file)).await.unwrap();
        let wide = network.path(&LinkConfig::new(mbit(1000), 10 * MS));
        let later = async {
            sleep(3000 * MS).await;
            scenario.download(&wide, &sharing.code).await
        };
        let (first, second) = join!(scenario.download(&wide, &sharing.code), later);
        let (first, second) = (first.unwrap(), second.unwrap());
        tell(&first, "the first");
        tell(&second, "3 s later");
        assert!(first.contains_copy_of(&file) && second.contains_copy_of(&file));
        assert!(second.offered_after < 1000 * MS, "{:?}", second.offered_after);
        sharing.stop().await.unwrap();
        scenario.stop().await;
    });
}
