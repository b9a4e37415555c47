//! A receiver that stops, or grants no credit, does not slow other receivers.

use std::{slice::from_ref, sync::LazyLock, time::Duration};

use qshare::internals::{
    error::Kind,
    relay::{MemoryBudget, MemoryUsage},
    wire::peer::INITIAL_CREDIT,
};
use tokio::{
    join,
    time::{Instant, sleep},
};

use super::{
    super::{
        join_all::join_all,
        units::{HOUR, MIB, MS, SECOND},
    },
    harness::{FIRST_LEG, failures, max_direction_bytes, relay_of_kind_with_budget, unbounded_queue},
    manual_receiver::ManualReceiver,
};
use crate::vnet::{Network, RelayKind, Scenario, ShareTask, mbit, run_in_virtual_time};

/// Runs three downloads at 100 Mbit/s each beside `other`. Returns how long each took, and the relay's memory usage.
pub(super) fn three_downloads_beside(
    kind: RelayKind,
    other: impl AsyncFnOnce(&Network, &Scenario, &ShareTask, &MemoryBudget),
) -> (Vec<Duration>, MemoryUsage) {
    run_in_virtual_time(1, async |network| {
        let (scenario, memory) = relay_of_kind_with_budget(&network, kind, 16 * MIB, 1024 * MIB);
        let file = scenario.scratch.file("file", 25_000_000);
        let up = network.path(&unbounded_queue(mbit(1000), FIRST_LEG));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        let downs = [(); 3].map(|()| network.path(&unbounded_queue(mbit(100), 30 * MS)));
        let download = async |down| {
            let download = scenario.download(down, &share.code).await.unwrap();
            assert!(download.contains_copy_of(&file));
            download.duration
        };
        let (durations, ()) = join!(join_all(downs.iter().map(download)), other(&network, &scenario, &share, &memory));
        share.stop().await.unwrap();
        scenario.stop().await;
        let usage = memory.usage();
        println!("{durations:?}, {usage:?}");
        assert_eq!((usage.held, usage.directions, usage.evicted), (0, 0, 0));
        (durations, usage)
    })
}

/// How long the three downloads take without a fourth receiver.
static UNDISTURBED: LazyLock<[Vec<Duration>; 2]> =
    LazyLock::new(|| RelayKind::ALL.map(|kind| three_downloads_beside(kind, async |_, _, _, _| ()).0));

pub(super) fn assert_as_fast_as_undisturbed(kind: RelayKind, durations: &[Duration]) {
    let undisturbed = &UNDISTURBED[kind as usize];
    let sum = |durations: &[Duration]| durations.iter().sum::<Duration>().as_secs_f64();
    let ratio = sum(durations) / sum(undisturbed);
    println!("{durations:?}, undisturbed {undisturbed:?}, ratio {ratio:.4}");
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
    // A single download may vary more, because the order in which the sender serves them varies.
    assert_eq!(durations.len(), undisturbed.len());
    for (with, without) in durations.iter().zip(undisturbed) {
        assert!(with.as_secs_f64() < 1.05 * without.as_secs_f64(), "{with:?}, undisturbed {without:?}");
    }
}

/// Returns the most bytes that the relay holds within the next `time`, sampled each second.
pub(super) async fn max_held(memory: &MemoryBudget, time: Duration) -> usize {
    let (began, mut max) = (Instant::now(), 0);
    while began.elapsed() < time {
        max = max.max(memory.usage().held);
        sleep(SECOND).await;
    }
    max
}

#[test]
fn a_receiver_that_stops_for_an_hour_does_not_slow_others() {
    let other = async |network: &Network, scenario: &Scenario, share: &ShareTask, memory: &MemoryBudget| {
        let down = network.path(&unbounded_queue(mbit(100), 30 * MS));
        let pausing = async {
            sleep(500 * MS).await;
            let paused = scenario.receiver_hosts()[3].clone();
            paused.pause();
            println!("at the start of the pause: {:?}", memory.usage());
            sleep(9 * SECOND).await;
            let usage = memory.usage();
            println!("9 seconds later: {usage:?}");
            assert_eq!(usage.directions, 2, "only the paused receiver is left");
            assert!(failures(share).is_empty());
            sleep(6 * SECOND).await; // longer than the idle timeout of 12 s in all
            let usage = memory.usage();
            println!("15 seconds later: {usage:?}");
            assert_eq!((usage.directions, usage.held), (0, 0), "the connection has timed out");
            assert!(failures(share).is_empty(), "the receiver may still reattach");
            assert_eq!(max_held(memory, HOUR).await, 0);
            let failures = failures(share);
            println!("the sender's failures: {failures:?}");
            assert!(matches!(&failures[..], [(_, Kind::Network, _)]), "{failures:?}");
            paused.resume();
        };
        let (download, ()) = join!(scenario.download(&down, &share.code), pausing);
        let failure = download.err().unwrap();
        println!("the receiver's failure: {failure}");
        assert_eq!(failure.kind(), Kind::Network);
    };
    for kind in RelayKind::ALL {
        let (durations, usage) = three_downloads_beside(kind, other);
        assert_as_fast_as_undisturbed(kind, &durations);
        assert!(usage.largest <= max_direction_bytes(16 * MIB), "{kind:?}: {usage:?}");
    }
}

#[test]
fn a_receiver_that_never_grants_credit_does_not_slow_others() {
    let other = async |network: &Network, scenario: &Scenario, share: &ShareTask, memory: &MemoryBudget| {
        let down = network.path(&unbounded_queue(mbit(100), 30 * MS));
        let host = scenario.add_host(&down);
        let receiver = ManualReceiver::request_file(scenario, &host, &share.code).await;
        sleep(10 * SECOND).await;
        println!("after the other downloads: {:?}", memory.usage());
        assert_eq!(memory.usage().directions, 2);
        let max = max_held(memory, HOUR).await;
        let delivered = down.reverse[0].counters().delivered.bytes;
        println!("an hour later: {:?}, at most {max}; {delivered} bytes delivered", memory.usage());
        assert!(max as u64 <= INITIAL_CREDIT, "{max}");
        let failures = failures(share);
        assert_eq!(failures.len(), 1, "the download permit goes to others");
        assert_eq!((failures[0].1, &failures[0].2[..]), (Kind::Network, "the receiver stopped accepting data"));
        drop(receiver);
        sleep(SECOND).await;
        assert_eq!(memory.usage().directions, 0);
    };
    for kind in RelayKind::ALL {
        let (durations, _) = three_downloads_beside(kind, other);
        assert_as_fast_as_undisturbed(kind, &durations);
    }
}
