//! The credit fills paths with a large bandwidth-delay product.

use std::{slice::from_ref, time::Duration};

use qshare::internals::wire::peer::Credit;
use tokio::{
    join,
    time::{Instant, sleep},
};

use super::{
    super::units::{MIB, MS, SECOND},
    harness::{max_direction_bytes, relay_with_budget, unbounded_queue},
    manual_receiver::ManualReceiver,
};
use crate::vnet::{Network, NetworkPath, mbit, run_in_virtual_time};

/// quinn's windows in `net::transport_config`. If they grow there, this has to grow too. With 16 MiB, 600 Mbit/s were
/// measured over a leg of 200 ms, of 671 that the windows allow.
const QUIC_WINDOW: u64 = 32 * 1024 * 1024;

/// The size of a download.
const SIZE: u64 = 240_000_000;

/// The credit that a receiver grants.
#[derive(Debug, Clone, Copy, PartialEq)]
enum CreditPolicy {
    /// The receiver's own flow control.
    AsReceiver,
    /// No limit.
    Unlimited,
}

/// Runs a download at 1 Gbit/s over two legs with these round-trip times. Returns the goodput of its last third, in
/// bits per second.
async fn download_over_legs(network: Network, legs: [Duration; 2], policy: CreditPolicy) -> f64 {
    let (scenario, memory) = relay_with_budget(&network, 32 * MIB, 1024 * MIB);
    let file = scenario.scratch.file("file", SIZE as usize);
    let [up, down] = legs.map(|round_trip| network.path(&unbounded_queue(mbit(1000), round_trip)));
    let share = scenario.share(&up, from_ref(&file)).await.unwrap();
    let downloading = async {
        match policy {
            CreditPolicy::AsReceiver => {
                assert!(scenario.download(&down, &share.code).await.unwrap().contains_copy_of(&file));
            }
            CreditPolicy::Unlimited => {
                let host = scenario.add_host(&down);
                let mut receiver = ManualReceiver::request_file(&scenario, &host, &share.code).await;
                receiver.session.reader.set_reorder_window(32 * MIB);
                let mut received = 0;
                while received < SIZE {
                    receiver.send(&Credit { limit: u64::MAX, received }).await;
                    receiver.read_to(SIZE.min(received + MIB)).await;
                    received = receiver.session.reader.received_bytes();
                }
            }
        }
    };
    let began = Instant::now();
    let ((), (quarters, thirds)) = join!(downloading, measure_thirds(&down));
    let rate = |bytes: u64, from: Instant, to: Instant| bytes as f64 * 8.0 / (to - from).as_secs_f64();
    let last_third = rate(SIZE / 3, thirds[1], thirds[2]);
    println!(
        "{legs:?}, {policy:?}: {:.0} Mbit/s, {:.0} in the last two thirds, {:.0} in the last third, {:?}",
        rate(SIZE, began, thirds[2]) / 1e6,
        rate(SIZE / 3 * 2, thirds[0], thirds[2]) / 1e6,
        last_third / 1e6,
        memory.usage()
    );
    println!("Mbit/s in each quarter of a second: {quarters:?}");
    println!("queues: {} and {}", up.forward[0].counters().longest_queue, down.reverse[0].counters().longest_queue);
    assert!(memory.usage().largest <= max_direction_bytes(32 * MIB), "{:?}", memory.usage());
    sleep(2 * SECOND).await; // the relay waits for the sender's verdict when a receiver leaves
    share.stop().await.unwrap();
    scenario.stop().await;
    last_third
}

/// Returns the rate over the receiver's leg in each quarter of a second, in Mbit/s, and the times at which each third
/// of the download had arrived.
async fn measure_thirds(down: &NetworkPath) -> (Vec<u64>, Vec<Instant>) {
    let delivered = || down.reverse[0].counters().delivered.bytes;
    let (mut before, mut quarters, mut thirds) = (0, Vec::new(), Vec::new());
    while thirds.len() < 3 {
        for _ in 0..250 {
            if thirds.len() < 3 && delivered() >= SIZE / 3 * (thirds.len() as u64 + 1) {
                thirds.push(Instant::now());
            }
            sleep(MS).await;
        }
        quarters.push((delivered() - before) * 32 / 1_000_000);
        before = delivered();
    }
    (quarters, thirds)
}

#[test]
fn credit_fills_two_long_legs() {
    let legs = [100 * MS; 2];
    for policy in [CreditPolicy::Unlimited, CreditPolicy::AsReceiver] {
        let goodput = run_in_virtual_time(1, async |network| download_over_legs(network, legs, policy).await);
        assert!(goodput > 0.95e9, "{policy:?}: {goodput}");
    }
}

/// With all of the delay on one leg, quinn's windows are the limit and not the credit.
#[test]
fn credit_fills_one_long_leg() {
    for legs in [[200, 1], [1, 200]] {
        let legs = legs.map(|ms| MS * ms);
        let policy = CreditPolicy::AsReceiver;
        let goodput = run_in_virtual_time(1, async |network| download_over_legs(network, legs, policy).await);
        let allowed = 1e9f64.min(QUIC_WINDOW as f64 * 8.0 / 0.2);
        assert!(goodput > 0.85 * allowed, "{goodput} instead of {allowed}");
    }
}
