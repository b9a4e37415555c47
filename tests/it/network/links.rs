//! What an emulated link does to single packets.

use std::{
    future::poll_fn,
    io::{self, IoSliceMut},
    sync::Arc,
    time::Duration,
};

use quinn::{
    AsyncUdpSocket,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::units::MS;
use crate::vnet::{
    EmulatedLink, Host, IP_UDP_HEADERS, LinkConfig, Network, NetworkPath, STEP, Tally, VirtualSocket, mbit,
    run_in_virtual_time,
};

/// The payload of a packet of 1,250 bytes, headers included. Its transmission takes 1 ms at 10 Mbit/s.
const PAYLOAD: usize = 1222;
const PACKET: u64 = PAYLOAD as u64 + IP_UDP_HEADERS;

/// Two hosts, a link from one to the other, and numbered packets on it.
struct Probe {
    from: Host,
    to: Host,
    out: Arc<VirtualSocket>,
    incoming: Arc<VirtualSocket>,
    link: EmulatedLink,
    began: Instant,
}

impl Probe {
    fn new(network: &Network, config: &LinkConfig) -> Self {
        let path = network.path(config);
        let (from, to) = (network.host(), network.host());
        network.connect(&from, &to, &path);
        to.set_receive_buffer(u64::MAX);
        let (out, incoming) = (from.bind(0), to.bind(7));
        Self { from, to, out, incoming, link: path.forward[0].clone(), began: Instant::now() }
    }

    /// Sends packets with these numbers, all at once.
    fn send(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            send(&self.out, &self.incoming, &packet(number, PAYLOAD)).unwrap();
        }
    }

    /// Receives until no packet has arrived for a second. Returns numbers and times since the beginning.
    async fn arrivals(&self) -> Vec<(u32, Duration)> {
        let mut all = Vec::new();
        while let Ok((payload, _)) = timeout(Duration::from_secs(1), receive(&self.incoming)).await {
            let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
            all.push((number, self.began.elapsed()));
        }
        all
    }

    /// Receives as [`Probe::arrivals`], and returns the numbers only.
    async fn numbers(&self) -> Vec<u32> {
        self.arrivals().await.into_iter().map(|(number, _)| number).collect()
    }
}

fn packet(number: u32, length: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(length, 0);
    payload
}

fn send(from: &VirtualSocket, to: &VirtualSocket, payload: &[u8]) -> io::Result<()> {
    transmit(from, to, payload, None, None)
}

fn transmit(
    from: &VirtualSocket,
    to: &VirtualSocket,
    contents: &[u8],
    segment_size: Option<usize>,
    ecn: Option<EcnCodepoint>,
) -> io::Result<()> {
    from.try_send(&Transmit { destination: to.addr(), ecn, contents, segment_size, src_ip: None })
}

async fn receive(socket: &VirtualSocket) -> (Vec<u8>, RecvMeta) {
    let mut buffer = vec![0; 10_000];
    let mut meta = [RecvMeta::default()];
    poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)).await.unwrap();
    buffer.truncate(meta[0].len);
    (buffer, meta[0])
}

fn tally(packets: u64) -> Tally {
    Tally { packets, bytes: packets * PACKET }
}

/// Returns whether a packet that was due at `due` arrived then, or at the latest at the end of that step.
fn is_on_time(arrived: Duration, due: Duration) -> bool {
    arrived >= due && arrived < due + STEP
}

#[test]
fn the_rate_and_the_delay_are_exact() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::from_micros(40_360)).queue(u64::MAX));
        probe.send(0..500);
        let arrivals = probe.arrivals().await;
        assert_eq!(arrivals.len(), 500);
        for (number, at) in arrivals {
            let due = MS * (number + 1) + Duration::from_micros(20_180);
            assert!(is_on_time(at, due), "{number}: {at:?} instead of {due:?}");
        }
        assert_eq!(probe.link.counters().delivered, tally(500));
    });
}

#[test]
fn paths_over_one_link_share_its_rate() {
    run_in_virtual_time(1, async |network| {
        let bottleneck = network.path(&LinkConfig::new(mbit(10), Duration::ZERO).queue(u64::MAX));
        let server = network.host();
        let incoming = server.bind(7);
        for _ in 0..2 {
            let host = network.host();
            let last_mile = network.path(&LinkConfig::new(mbit(100), 2 * MS).queue(u64::MAX));
            network.connect(&host, &server, &last_mile.then(&bottleneck));
            let out = host.bind(0);
            (0..100).for_each(|i| send(&out, &incoming, &packet(i, PAYLOAD)).unwrap());
        }
        let began = Instant::now();
        for _ in 0..200 {
            receive(&incoming).await;
        }
        // 0.1 ms of transmission and 1 ms of delay on the faster link, before the first of 200 reaches the slower one.
        let due = Duration::from_micros(1_100) + 200 * MS;
        assert!(is_on_time(began.elapsed(), due), "{:?}", began.elapsed());
        assert_eq!(bottleneck.forward[0].counters().offered, tally(200));
    });
}

#[test]
fn the_configured_share_of_packets_is_lost() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().loss(0.05));
        for batch in 0..20 {
            probe.send(batch * 1000..(batch + 1) * 1000);
            sleep(MS).await;
        }
        let arrived = probe.numbers().await.len() as u64;
        let counters = probe.link.counters();
        assert_eq!((counters.offered, counters.delivered), (tally(20_000), tally(arrived)));
        assert_eq!(counters.lost, tally(20_000 - arrived));
        // The standard deviation is 31.
        assert!(counters.lost.packets.abs_diff(1000) < 100, "{} lost", counters.lost.packets);
    });
}

#[test]
fn bursts_have_the_configured_share_and_length() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().bursts(0.02, 5.0));
        let mut arrived = Vec::new();
        for batch in 0..100 {
            probe.send(batch * 1000..(batch + 1) * 1000);
            while arrived.len() as u64 + probe.link.counters().lost.packets < u64::from(batch + 1) * 1000 {
                let (payload, _) = receive(&probe.incoming).await;
                arrived.push(u32::from_be_bytes(payload[..4].try_into().unwrap()));
            }
        }
        let gaps: Vec<u32> = arrived.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
        let lost: u32 = gaps.iter().sum();
        let mean = f64::from(lost) / gaps.len() as f64;
        // With 400 bursts, the standard deviation of the mean length is 0.22, and that of the lost packets is 140.
        assert!((4.0..6.0).contains(&mean), "{} bursts of {mean}", gaps.len());
        assert!(lost.abs_diff(2000) < 500, "{lost} lost");
    });
}

#[test]
fn a_full_queue_drops_new_packets() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::ZERO).queue(10 * PACKET));
        probe.send(0..30);
        sleep(3 * MS).await;
        probe.send(100..110);
        assert_eq!(probe.numbers().await, (0..10).chain(100..103).collect::<Vec<_>>());
        let counters = probe.link.counters();
        assert_eq!((counters.overflowed, counters.longest_queue), (tally(27), 10 * PACKET));
        assert_eq!(counters.dropped(), tally(27));
    });
}

#[test]
fn a_policer_passes_one_burst_and_then_its_rate() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().policer(mbit(10), 10 * PACKET));
        probe.send(0..30);
        for i in 1..=100 {
            sleep(MS).await;
            probe.send([2 * i, 2 * i + 1].map(|n| 1000 + n)); // twice the rate
        }
        let numbers = probe.numbers().await;
        assert_eq!(numbers.iter().filter(|n| **n < 1000).count(), 10);
        assert_eq!(numbers.iter().filter(|n| **n >= 1000).count(), 100);
        assert_eq!(probe.link.counters().policed, tally(20 + 100));
    });
}

#[test]
fn jitter_delays_packets_without_reordering_them() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig { delay: 10 * MS, ..LinkConfig::ideal() }.jitter(10 * MS);
        let probe = Probe::new(&network, &config);
        let (mut min, mut max, mut last) = (Duration::MAX, Duration::ZERO, None);
        let sending = async {
            for i in 0..200 {
                sleep_until(probe.began + 30 * MS * i).await; // so far apart that no packet waits for another one
                probe.send([i]);
            }
        };
        let receiving = async {
            for (number, at) in probe.arrivals().await {
                assert!(last.replace(number) < Some(number));
                let delay = at - 30 * MS * number;
                (min, max) = (min.min(delay), max.max(delay));
            }
        };
        tokio::join!(sending, receiving);
        assert!(min >= 10 * MS && min < 11 * MS, "{min:?}");
        assert!(max > 19 * MS && max < 20 * MS + STEP, "{max:?}");
        probe.send(0..200);
        assert!(probe.numbers().await.is_sorted());
    });
}

#[test]
fn the_configured_share_of_packets_is_reordered() {
    run_in_virtual_time(1, async |network| {
        let config = LinkConfig::new(mbit(10), 10 * MS).queue(u64::MAX).reordering(0.1, Duration::from_micros(3_500));
        let probe = Probe::new(&network, &config);
        probe.send(0..2000);
        let arrivals = probe.arrivals().await;
        let (late, prompt): (Vec<_>, Vec<_>) = arrivals.iter().partition(|(n, at)| *at > MS * (n + 1) + 6 * MS);
        assert!(late.len().abs_diff(200) < 60, "{} were late", late.len()); // the standard deviation is 13
        assert!(late.iter().all(|(n, at)| is_on_time(*at, MS * (n + 1) + Duration::from_micros(8_500))));
        assert!(prompt.iter().all(|(n, at)| is_on_time(*at, MS * (n + 1) + 5 * MS)));
        assert!(!arrivals.is_sorted());
    });
}

#[test]
fn the_configured_share_of_packets_is_duplicated() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::ideal().duplication(0.2));
        probe.send(0..2000);
        let numbers = probe.numbers().await;
        let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        assert!(twice.abs_diff(400) < 90, "{twice}"); // the standard deviation is 18
        assert_eq!(numbers.len() as u64, 2000 + twice);
        let counters = probe.link.counters();
        assert_eq!((counters.duplicated, counters.delivered), (tally(twice), tally(2000 + twice)));
    });
}

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
fn a_cut_drops_queued_packets_but_not_those_after_the_queue() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), 100 * MS).queue(u64::MAX));
        probe.link.cut_after(Duration::from_micros(4_500), 100 * MS);
        probe.send(0..10);
        sleep(50 * MS).await;
        probe.send(100..110);
        sleep(60 * MS).await;
        probe.send(200..210);
        assert_eq!(probe.numbers().await, (0..4).chain(200..210).collect::<Vec<_>>());
        assert_eq!(probe.link.counters().cut, tally(6 + 10));
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
fn a_link_can_change_while_packets_are_on_it() {
    run_in_virtual_time(1, async |network| {
        let probe = Probe::new(&network, &LinkConfig::new(mbit(10), Duration::ZERO).queue(u64::MAX));
        // Half of the third packet has been sent; the other half takes ten times as long.
        probe.link.change_after(Duration::from_micros(2_500), |config| config.rate = Some(mbit(1)));
        probe.link.change_after(Duration::from_micros(27_600), |config| {
            config.rate = Some(mbit(100));
            config.delay = 50 * MS;
        });
        probe.send(0..6);
        let due = [1_000, 2_000, 7_500, 17_500, 27_500, 27_600 + 99 + 50_000].map(Duration::from_micros);
        let arrivals = probe.arrivals().await;
        assert_eq!(arrivals.len(), due.len());
        for ((number, at), due) in arrivals.into_iter().zip(due) {
            assert!(is_on_time(at, due), "{number}: {at:?} instead of {due:?}");
        }
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

#[test]
fn the_same_seed_gives_every_packet_the_same_outcome() {
    let config = || LinkConfig::ideal().loss(0.1).bursts(0.05, 3.0).duplication(0.1).reordering(0.1, 2 * MS).jitter(MS);
    let run = |seed: u64, config: LinkConfig, other: LinkConfig| {
        run_in_virtual_time(seed, async |network| {
            let others = Probe::new(&network, &other);
            let probe = Probe::new(&network, &config);
            for i in 0..500 {
                probe.send([i]);
                others.send([i]);
                sleep(MS).await;
            }
            probe.arrivals().await
        })
    };
    let first = run(1, config(), LinkConfig::ideal());
    assert_eq!(run(1, config(), LinkConfig::ideal()), first);
    assert_eq!(run(1, config(), config()), first, "the outcomes on one link depend on another link");
    assert_ne!(run(2, config(), LinkConfig::ideal()), first);
    let numbers = |arrivals: &[(u32, Duration)]| {
        let mut numbers: Vec<_> = arrivals.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    };
    let plain = run(1, LinkConfig { jitter: Duration::ZERO, reordering: None, ..config() }, LinkConfig::ideal());
    assert_eq!(numbers(&plain), numbers(&first), "loss depends on jitter and reordering");
}
