//! The network in memory, and whole transfers over bad lines in virtual time.

use std::time::Duration;

use qshare::relay::Config;

use crate::vnet::{Line, Network, World, mbit, virtually};

#[test]
fn a_clean_line() {
    virtually(1, async |network: Network| {
        let world = World::new(&network, Config::default());
        let line = Line::new(mbit(100), Duration::from_millis(25));
        let file = world.scratch.file("file", 20_000_000);
        let sharing = world.share(&network.way(&line), &[file.clone()]).await.unwrap();
        let began = std::time::Instant::now();
        let way = network.way(&line);
        let received = world.receive(&way, &sharing.code).await.unwrap();
        assert!(received.holds(&file));
        println!(
            "{:?} {:?} {:?} goodput {} real {:?} {:?}",
            received.connected_after,
            received.offered_after,
            received.took,
            received.goodput() / 1e6,
            began.elapsed(),
            way.back[0].counters()
        );
        sharing.stop().await.unwrap();
        world.stop().await;
    });
}
