//! The counters that a relay logs for its operator.

use std::slice::from_ref;

use qshare::internals::relay::RelayConfig;
use tokio::time::{Instant, sleep};

use super::units::{MS, SECOND};
use crate::vnet::{LinkConfig, LogRecorder, Scenario, mbit, run_in_virtual_time};

#[test]
fn a_relay_logs_its_counters_once_a_minute_and_at_its_end() {
    run_in_virtual_time(1, async |network| {
        let (log, _guard) = LogRecorder::start();
        let began = Instant::now();
        let scenario = Scenario::new(&network, RelayConfig::default());
        let file = scenario.scratch.file("file", 1_000_000);
        let path = network.path(&LinkConfig::new(mbit(100), 20 * MS));
        let share = scenario.share(&path, from_ref(&file)).await.unwrap();
        assert!(scenario.download(&path, &share.code).await.unwrap().contains_copy_of(&file));
        sleep(150 * SECOND).await;
        let lines =
            || log.times_of("now: connections=").into_iter().map(|at| (at - began).as_secs()).collect::<Vec<_>>();
        assert_eq!(lines(), [60, 120]);
        let counters = "registrations=1 connects=1 misses=0 bridges=1 unconfirmed=0 bytes=10";
        assert_eq!(log.times_of(counters).len(), 2, "a megabyte and a few messages");
        assert_eq!(log.times_of("slots=1 resting=0 bridges=0").len(), 2);
        share.stop().await.unwrap();
        scenario.stop().await;
        assert_eq!(lines().len(), 3);
        assert_eq!(log.times_of("slots=0 resting=1 bridges=0").len(), 1);
    });
}
