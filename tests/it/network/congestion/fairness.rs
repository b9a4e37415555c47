//! Two streams over one bottleneck.

use qshare::internals::net::CongestionControl;

use super::{
    super::units::{MS, SECOND},
    harness::link_with_queue,
};
use crate::vnet::{LinkConfig, QuicPair, run_in_virtual_time};

/// Returns the share of the first of two competing streams.
fn share_of_first(config: &LinkConfig, first: CongestionControl, second: CongestionControl) -> f64 {
    run_in_virtual_time(1, async |network| {
        QuicPair::bandwidth_share(&network, config, [first, second], 40 * SECOND).await
    })
}

#[test]
fn neither_cubic_nor_ours_starves_the_other() {
    for products in [0.5, 1.0, 2.0] {
        let config = link_with_queue(50, 20 * MS, products);
        let first = share_of_first(&config, CongestionControl::Auto, CongestionControl::Cubic);
        let second = 1.0 - share_of_first(&config, CongestionControl::Cubic, CongestionControl::Auto);
        println!("{products} products: ours gets {first:.3} if it starts first, {second:.3} if it starts second");
        assert!((0.25..0.75).contains(&first) && (0.25..0.75).contains(&second), "{products}: {first} {second}");
    }
}

#[test]
fn two_streams_of_ours_share_evenly() {
    for (rate, round_trip, products) in [(50, 20, 0.5), (50, 50, 1.0), (20, 50, 2.0)] {
        let share = share_of_first(
            &link_with_queue(rate, round_trip * MS, products),
            CongestionControl::Auto,
            CongestionControl::Auto,
        );
        let jain = 1.0 / (2.0 * (share * share + (1.0 - share) * (1.0 - share)));
        println!("{rate} Mbit/s, {round_trip} ms, {products} products: {share:.3}, Jain {jain:.3}");
        assert!(jain >= 0.95, "{jain}");
    }
}
