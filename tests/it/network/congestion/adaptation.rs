//! The reaction to changes of the path and of the application.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{
    super::units::{MS, SECOND},
    harness::{Flow, link_with_queue, measure_change},
};
use crate::vnet::{LinkConfig, mbit, run_in_virtual_time};

#[test]
fn the_sender_adapts_to_a_new_rate() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let halved = measure_change(&config, 4, |config| config.rate = Some(mbit(50)));
    assert!(halved[1..].iter().all(|m| m.goodput >= 0.95), "{halved:?}");
    assert!(halved[2..].iter().all(|m| m.rtt <= 70 * MS), "{halved:?}");
    let doubled = measure_change(&config, 4, |config| config.rate = Some(mbit(200)));
    assert!(doubled[2..].iter().all(|m| m.goodput >= 0.9), "{doubled:?}");
    let tenfold = measure_change(&LinkConfig::new(mbit(20), 50 * MS), 4, |config| config.rate = Some(mbit(200)));
    assert!(tenfold[2..].iter().all(|m| m.goodput >= 0.9), "{tenfold:?}");
}

#[test]
fn the_sender_adapts_to_loss_that_begins_or_ends() {
    let config = LinkConfig::new(mbit(100), 50 * MS);
    let begins = measure_change(&config, 6, |config| config.loss = 0.05);
    assert!(begins[3..].iter().all(|m| m.goodput >= 0.95), "{begins:?}");
    let ends = measure_change(&config.loss(0.05), 4, |config| config.loss = 0.0);
    assert!(ends[1..].iter().all(|m| m.goodput >= 0.95 && m.overflow <= 0.01), "{ends:?}");
}

#[test]
fn the_sender_adapts_to_a_longer_or_shorter_rtt() {
    // The delay of the forward direction grows, so that an RTT of 50 ms becomes 100 ms.
    let longer = measure_change(&LinkConfig::new(mbit(100), 50 * MS), 6, |config| config.delay += 50 * MS);
    assert!(longer[3..].iter().all(|m| m.goodput >= 0.9), "{longer:?}");
    let far_longer = measure_change(&LinkConfig::new(mbit(100), 20 * MS), 14, |config| config.delay += 180 * MS);
    assert!(far_longer[10..].iter().all(|m| m.goodput >= 0.9), "{far_longer:?}");
    let shorter = measure_change(&LinkConfig::new(mbit(100), 100 * MS), 4, |config| config.delay = Duration::ZERO);
    assert!(shorter[1..].iter().all(|m| m.goodput >= 0.93), "{shorter:?}");
}

#[test]
fn an_application_limited_sender_keeps_its_estimate_of_the_rate() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 50 * MS)).await;
        let chunk = Bytes::from(vec![7; 100_000]);
        // 8 Mbit/s for a while, as from a slow disk, and then as much as possible.
        let mut slow = flow.pair.client.open_uni().await.unwrap();
        let reading = async {
            let mut stream = flow.pair.server.accept_uni().await.unwrap();
            while stream.read_chunk(usize::MAX, false).await.unwrap().is_some() {}
        };
        let writing = async {
            for _ in 0..100 {
                slow.write_chunk(chunk.clone()).await.unwrap();
                sleep(100 * MS).await;
            }
            slow.finish().unwrap();
        };
        tokio::join!(reading, writing);
        assert_eq!(flow.link.counters().overflowed.packets, 0);
        let measured = flow.run(async { [flow.measure(SECOND).await, flow.measure(SECOND).await] }).await;
        println!("{measured:?}");
        assert!(measured[0].goodput >= 0.7 && measured[1].goodput >= 0.95, "{measured:?}");
        assert!(measured.iter().all(|m| m.overflow <= 0.01), "{measured:?}");
    });
}

#[test]
fn a_stream_after_an_idle_time_starts_at_full_rate_without_overflow() {
    run_in_virtual_time(1, async |network| {
        let flow = Flow::new(&network, &link_with_queue(100, 50 * MS, 0.5)).await;
        flow.pair.transfer(20_000_000).await;
        sleep(20 * SECOND).await;
        let before = flow.link.counters().overflowed.packets;
        let transfer = flow.pair.transfer(20_000_000).await;
        println!("{transfer:?}");
        assert!(transfer.goodput() / 8.0 >= 0.93 * flow.link.config().max_goodput(), "{transfer:?}");
        assert!(flow.link.counters().overflowed.packets - before <= 130, "1 % of the packets");
    });
}

#[test]
fn the_sender_adapts_to_another_network() {
    // The random loss of the other path must not hide that the route has become longer, whenever packets are lost.
    for seed in 1..=5 {
        run_in_virtual_time(seed, async |network| {
            let flow = Flow::new(&network, &LinkConfig::new(mbit(100), 20 * MS)).await;
            let other = network.path(&LinkConfig::new(mbit(40), 80 * MS).loss(0.01));
            flow.run(async {
                flow.measure(3 * SECOND).await;
                flow.pair.migrate(&network, &other);
                sleep(5 * SECOND).await;
                let before = flow.pair.received_bytes();
                sleep(5 * SECOND).await;
                let received = (flow.pair.received_bytes() - before) as f64;
                let goodput = received / 5.0 / other.forward[0].config().max_goodput();
                println!("seed {seed}: {goodput:.3} of the other path");
                assert!(goodput >= 0.9, "seed {seed}: {goodput}");
            })
            .await;
        });
    }
}
