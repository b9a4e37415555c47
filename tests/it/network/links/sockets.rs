//! Segments, paused hosts, and packets without a destination.

use std::{
    future::poll_fn,
    io::{self},
    sync::Arc,
    time::Duration,
};

use quinn::{AsyncUdpSocket, udp::EcnCodepoint};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::units::MS,
    harness::{PAYLOAD, Probe, packet, receive, send, tally, transmit},
};
use crate::vnet::{LinkConfig, NetworkPath, Tally, mbit, run_in_virtual_time};

#[test]
fn each_segment_is_a_packet_and_long_packets_are_dropped() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().mtu(1500));
        let (out, incoming) = (&probe.out, &probe.incoming);
        assert_eq!((out.max_transmit_segments(), out.max_receive_segments(), out.may_fragment()), (10, 1, false));
        send(out, incoming, &packet(0, 1472)).unwrap();
        send(out, incoming, &packet(1, 1473)).unwrap();
        transmit(out, incoming, &[5; 2500], Some(1000), Some(EcnCodepoint::Ect0)).unwrap();
        let mut lengths = Vec::new();
        for _ in 0..4 {
            let (payload, meta) = receive(incoming).await;
            assert_eq!((meta.addr, meta.dst_ip), (out.addr(), Some(probe.to.ip())));
            assert_eq!(meta.ecn, (payload[0] == 5).then_some(EcnCodepoint::Ect0));
            lengths.push(payload.len());
        }
        assert_eq!(lengths, [1472, 1000, 1000, 500]);
        assert_eq!(probe.link.counters().too_long, Tally { packets: 1, bytes: 1501 });
    });
}

#[test]
fn a_paused_host_sends_and_receives_nothing() {
    run_in_virtual_time(1, async |network| {
        let (a, b) = (network.host(), network.host());
        network.connect(
            &a,
            &b,
            &NetworkPath { forward: vec![network.link(&LinkConfig::ideal())], reverse: Vec::new() },
        );
        b.set_receive_buffer(3 * PAYLOAD as u64);
        let (out, incoming) = (a.bind(0), b.bind(7));
        b.pause();
        (0..5).for_each(|i| send(&out, &incoming, &packet(i, PAYLOAD)).unwrap());
        assert!(timeout(Duration::from_secs(5), receive(&incoming)).await.is_err());
        assert_eq!(b.overflowed(), tally(2));
        let refused = send(&incoming, &out, &[0]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let mut poller = Arc::clone(&incoming).create_io_poller();
        let began = Instant::now();
        tokio::join!(
            async {
                poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
                assert_eq!(began.elapsed(), 20 * MS);
                send(&incoming, &out, &[0]).unwrap();
            },
            async {
                receive(&incoming).await;
                assert_eq!(began.elapsed(), 20 * MS);
            },
            async {
                sleep(20 * MS).await;
                b.resume();
            }
        );
    });
}

#[test]
fn a_packet_without_a_destination_is_counted_as_undeliverable() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), MS));
        let nowhere = network.host().bind(7);
        send(&probe.out, &nowhere, &packet(0, PAYLOAD)).unwrap();
        let closed = probe.to.bind(8);
        send(&probe.out, &closed, &packet(1, PAYLOAD)).unwrap();
        drop(closed);
        let here = probe.from.bind(9);
        send(&probe.out, &here, &packet(2, PAYLOAD)).unwrap();
        assert_eq!(receive(&here).await.0.len(), PAYLOAD);
        assert!(probe.numbers().await.is_empty());
        assert_eq!(network.undeliverable(), tally(2));
    });
}
