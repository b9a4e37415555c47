//! Relays that run out of memory.

use std::slice::from_ref;

use qshare::internals::{
    net::StreamError,
    transfer::session::SessionError,
    wire::{peer::Credit, reset_code::EVICTED},
};
use tokio::time::sleep;

use super::{
    super::units::{MIB, MS},
    harness::{FIRST_LEG, failures, relay_of_kind_with_budget, relay_with_budget, unbounded_queue},
    manual_receiver::ManualReceiver,
};
use crate::vnet::{RelayKind, mbit, run_in_virtual_time};

#[test]
fn a_relay_short_of_memory_evicts_the_longest_stalled_receiver() {
    the_longest_stalled_receiver_is_evicted(RelayKind::Separate, 12 * MIB as usize);
}

/// An embedded relay holds two records for each stalled receiver, and QUIC's send buffer: the share waits with the
/// rest.
#[test]
fn an_embedded_relay_short_of_memory_evicts_the_longest_stalled_receiver() {
    the_longest_stalled_receiver_is_evicted(RelayKind::Embedded, 5 * MIB as usize);
}

/// Stalls sixteen receivers of a relay with a budget of this many bytes.
fn the_longest_stalled_receiver_is_evicted(kind: RelayKind, budget: usize) {
    const SIZE: usize = 48_000_000;
    const STALLED: usize = 16;
    /// No bridge exceeds its bound, but together the stalled receivers exceed the budget.
    const CREDIT: u64 = 2_000_000;
    run_in_virtual_time(1, async |network| {
        let (scenario, memory) = relay_of_kind_with_budget(&network, kind, 32 * MIB, budget as u64);
        let file = scenario.scratch.file("file", SIZE);
        let up = network.path(&unbounded_queue(mbit(1000), FIRST_LEG));
        let share = scenario.share(&up, from_ref(&file)).await.unwrap();
        let mut stalled = Vec::new();
        for _ in 0..STALLED {
            let host = scenario.add_host(&network.path(&unbounded_queue(mbit(100), 20 * MS)));
            stalled.push((ManualReceiver::request_file(&scenario, &host, &share.code).await, host));
        }
        for (receiver, host) in &mut stalled {
            receiver.send(&Credit { limit: CREDIT, received: 0 }).await;
            sleep(40 * MS).await;
            host.pause();
        }
        let healthy_path = network.path(&unbounded_queue(mbit(200), 20 * MS));
        let printing = async {
            let mut evicted = 0;
            loop {
                sleep(MS).await;
                let usage = memory.usage();
                if usage.evicted > evicted {
                    evicted = usage.evicted;
                    println!("{usage:?}, the sender's failures: {:?}", failures(&share));
                }
            }
        };
        let healthy = tokio::select! {
            healthy = scenario.download(&healthy_path, &share.code) => healthy.unwrap(),
            () = printing => unreachable!("printing is endless"),
        };
        assert!(healthy.contains_copy_of(&file));
        println!("{:?}: {:?}", healthy.duration, memory.usage());
        let failures = failures(&share);
        println!("the sender's failures: {failures:?}");
        assert_eq!(failures[0].0, 1, "the relay evicts the receiver that stalled first");
        let usage = memory.usage();
        assert!(usage.evicted > 0 && usage.peak <= budget + MIB as usize, "{usage:?}");
        let (receiver, host) = stalled.swap_remove(0);
        host.resume();
        let failure = receiver.read_to_failure().await;
        assert_eq!(failure, SessionError::Stream(StreamError::Aborted(EVICTED)));
        drop(stalled);
        assert!(share.stop().await.is_err(), "the other stalled downloads still run");
        scenario.stop().await;
    });
}

/// The connections take half of the budget, and the receiver's path is slow, so the relay evicts the bridge repeatedly.
#[test]
fn an_evicted_receiver_reports_that_the_relay_is_short_of_memory() {
    run_in_virtual_time(1, async |network| {
        let (scenario, memory) = relay_with_budget(&network, 32 * MIB, MIB / 2);
        let file = scenario.scratch.file("file", 3_000_000);
        let share = scenario.share(&network.path(&unbounded_queue(mbit(100), 20 * MS)), from_ref(&file)).await.unwrap();
        let download =
            scenario.download(&network.path(&unbounded_queue(mbit(10), 20 * MS)), &share.code).await.unwrap();
        println!("{:?}", memory.usage());
        assert!(memory.usage().evicted > 0);
        assert!(download.contains_copy_of(&file));
        let events = format!("{:?}", download.events());
        assert!(events.contains("short of memory"), "{events}");
        share.stop().await.unwrap();
        scenario.stop().await;
    });
}
