//! Virtual time, what repeats in it, and what the real clock says to the same scenario.

use std::{thread, time::Duration};

use quinn::TransportConfig;
use tokio::{
    task::{spawn, spawn_blocking},
    time::{Instant, sleep},
};

use crate::vnet::{Bare, Counters, Line, Moved, Network, STEP, mbit, really, virtually};

const MS: Duration = Duration::from_millis(1);

/// Windows that no line here fills.
fn wide() -> TransportConfig {
    const WINDOW: u32 = 16 * 1024 * 1024;
    let mut config = TransportConfig::default();
    config.stream_receive_window(WINDOW.into()).send_window(WINDOW.into());
    config
}

/// Moves bytes over a line that is the same in both directions; gives what the pipe there did too.
async fn moves(network: &Network, line: &Line, bytes: u64) -> (Moved, Counters) {
    let way = network.way(line);
    let bare = Bare::connect(network, &way, wide(), wide()).await;
    let moved = bare.send(bytes).await;
    (moved, way.there[0].counters())
}

#[test]
fn the_clock_waits_for_blocking_work() {
    virtually(1, async |network| {
        // Packets in every step keep the clock going between its ticks.
        let line = Line::new(mbit(100), 5 * MS);
        let traffic = network.clone();
        let moving = spawn(async move { moves(&traffic, &line, 2_000_000).await });
        let mut between_ticks = 0;
        for i in 0..50 {
            sleep(Duration::from_micros(1_730)).await;
            let began = Instant::now();
            for _ in 0..3 {
                let work = move || thread::sleep(Duration::from_micros(100 * (i % 4)));
                spawn_blocking(work).await.unwrap();
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
            between_ticks += 1;
        }
        assert_eq!(between_ticks, 50);
        moving.await.unwrap();
    });
}

#[test]
#[should_panic(expected = "nothing will happen any more")]
fn what_never_happens_is_noticed() {
    virtually(1, async |_| std::future::pending::<()>().await);
}

#[test]
fn a_bare_transfer_repeats_to_the_packet() {
    let line = Line::new(mbit(50), 20 * MS).loss(0.005).jitter(MS).duplication(0.01);
    let run = |seed| {
        virtually(seed, async |network| {
            let (moved, counters) = moves(&network, &line, 1_000_000).await;
            (moved.time, moved.stats.path.lost_packets, counters)
        })
    };
    let first = run(1);
    assert_eq!(run(1), first);
    assert_ne!(run(2), first);
}

#[test]
fn a_round_trip_is_as_long_as_the_line() {
    virtually(1, async |network| {
        let line = Line::new(mbit(1000), Duration::from_micros(2_300));
        let (moved, _) = moves(&network, &line, 10_000).await;
        let least = moved.stats.path.min_rtt;
        assert!(least >= Duration::from_micros(2_300), "{least:?}");
        assert!(least < Duration::from_micros(2_320) + 2 * STEP, "{least:?}");
    });
}

#[test]
fn both_clocks_tell_of_the_same_line() {
    // No figure here depends on how fast the machine is, unless it is slower than 4 Mbit/s.
    let line = Line::new(mbit(4), 40 * MS).queue(1_000_000);
    let bytes = 250_000;
    let [(virtual_time, virtual_counters), (real_time, real_counters)] = [false, true].map(|real| {
        let work = async |network: Network| {
            let (moved, counters) = moves(&network, &line, bytes).await;
            (moved.time, counters)
        };
        if real { really(1, work) } else { virtually(1, work) }
    });
    println!("virtual {virtual_time:?} {virtual_counters:?}\nreal {real_time:?} {real_counters:?}");
    assert!(real_time >= virtual_time.mul_f64(0.9), "{real_time:?} instead of {virtual_time:?}");
}
