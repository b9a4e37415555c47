//! Handshakes with the relay whose packets are lost.

use qshare::internals::relay::RelayConfig;
use tokio::time::sleep;

use super::units::{MS, SECOND};
use crate::vnet::{LinkConfig, Scenario, mbit, run_in_virtual_time};

/// A forged address sends one packet, twice, and receives nothing. RFC 9000 section 8.1 allows three times its bytes in reply.
#[test]
fn a_relay_replies_to_a_forged_address_with_at_most_three_times_its_bytes() {
    run_in_virtual_time(1, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let path = network.path(&LinkConfig::new(mbit(100), 20 * MS));
        let host = scenario.add_host(&path);
        path.reverse[0].change(|config| config.cut = true);
        path.forward[0].change_after(MS, |config| config.cut = true); // lets the first packet and its copy pass
        let connecting = scenario.connect_to_relay(&host);
        assert!(tokio::join!(connecting, sleep(60 * SECOND)).0.is_err());
        let (received, sent) = (path.forward[0].counters().delivered, path.reverse[0].counters().offered);
        println!("the relay received {received:?} and sent {sent:?}");
        assert_eq!(received.packets, 2, "the first packet and its copy");
        assert!(sent.packets > 1 && sent.bytes <= 3 * received.bytes, "{sent:?}");
    });
}

#[test]
fn handshakes_complete_at_a_loss_of_30_percent() {
    run_in_virtual_time(2, async |network| {
        let scenario = Scenario::new(&network, RelayConfig::default());
        let path = network.path(&LinkConfig::new(mbit(100), 20 * MS).loss(0.3));
        let mut completed = 0;
        for _ in 0..50 {
            let host = scenario.add_host(&path);
            completed += usize::from(scenario.connect_to_relay(&host).await.is_ok());
        }
        println!("{completed} of 50 handshakes completed");
        assert!(completed >= 49, "{completed}");
    });
}
