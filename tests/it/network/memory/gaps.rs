//! Links that lose or reorder so many packets that the received data has many gaps.

use std::{cell::Cell, future::pending, slice::from_ref, sync::Arc, time::Duration};

use bytes::Bytes;
use qshare::internals::net::{RecvHalf, StreamError};
use quinn::TransportConfig;
use tokio::{
    join,
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    super::units::{KIB, MIB, MS, SECOND},
    harness::{max_direction_bytes, relay_with_budget, unbounded_queue},
};
use crate::vnet::{FixedWindow, LinkConfig, Network, QuicPair, ScratchDir, mbit, run_in_virtual_time};

/// Returns links with many gaps. The first three make more gaps than quinn allows in a stream that is read in order.
fn links_with_gaps(rate: u64) -> [(&'static str, LinkConfig); 5] {
    let config = || unbounded_queue(rate, 100 * MS);
    [
        ("30 % lost", config().loss(0.3)),
        ("half of the packets late", config().reordering(0.5, 30 * MS)),
        ("loss, bursts, reordering and duplication", {
            config().loss(0.2).bursts(0.1, 2.0).reordering(0.5, 30 * MS).duplication(0.1)
        }),
        ("lost in bursts", config().bursts(0.2, 3.0)),
        ("10 % duplicated, 10 % lost", config().loss(0.1).duplication(0.1)),
    ]
}

/// How many of [`links_with_gaps`] make more gaps than quinn allows.
const TOO_MANY_GAPS: usize = 3;

/// A stream over a link with gaps, from a sender that ignores loss.
struct LossyStream<'a> {
    content: &'a Bytes,
    /// How many bytes the sender may be ahead of the reader.
    credit: u64,
    /// The offsets at which the reader pauses for five seconds. The sender does not pass one of them before the reader
    /// reaches it.
    pauses: &'a [u64],
}

impl LossyStream<'_> {
    /// Reads with the program's own code. Returns the most bytes that waited for earlier data, and the duration.
    async fn read(&self, network: &Network, config: &LinkConfig) -> Result<(usize, Duration), StreamError> {
        let pair = self.connect(network, config).await;
        let began = Instant::now();
        let (read, max) = (watch::Sender::new(0), Cell::new(0));
        let reading = async {
            let mut half = RecvHalf::from(pair.server.accept_uni().await.unwrap());
            half.set_reorder_window(self.credit as usize);
            let mut pauses = self.pauses.iter();
            let mut pause = pauses.next();
            let mut at = 0;
            loop {
                if pause.is_some_and(|pause| *pause <= at) {
                    pause = pauses.next();
                    sleep(5 * SECOND).await;
                }
                let Some(chunk) = half.read().await? else { break };
                assert!(self.content[at as usize..].starts_with(&chunk), "the data at {at} differs");
                at += chunk.len() as u64;
                read.send_replace(at);
                max.set(max.get().max(half.buffered_memory()));
            }
            assert_eq!(at, self.content.len() as u64);
            Ok(())
        };
        tokio::select! {
            result = reading => result.map(|()| (max.get(), began.elapsed())),
            never = self.write(&pair, &read) => never,
        }
    }

    /// Reads with quinn's own reordering.
    async fn read_in_order(&self, network: &Network, config: &LinkConfig) -> Result<(), quinn::ReadError> {
        let pair = self.connect(network, config).await;
        let read = watch::Sender::new(0);
        let reading = async {
            let mut stream = pair.server.accept_uni().await.unwrap();
            while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
                read.send_replace(chunk.offset + chunk.bytes.len() as u64);
            }
            Ok(())
        };
        tokio::select! {
            result = reading => result,
            never = self.write(&pair, &read) => never,
        }
    }

    /// Connects over a link without gaps, then introduces the gaps in the forward direction.
    async fn connect(&self, network: &Network, config: &LinkConfig) -> QuicPair {
        const WINDOW: u32 = 32 * MIB as u32;
        let transport = || {
            let mut transport = TransportConfig::default();
            transport
                .stream_receive_window(WINDOW.into())
                .receive_window(WINDOW.into())
                .send_window(WINDOW.into())
                .keep_alive_interval(Some(3 * SECOND))
                .congestion_controller_factory(Arc::new(FixedWindow(8 * MIB)));
            transport
        };
        let path = network.path(&unbounded_queue(config.rate.unwrap(), 2 * config.delay));
        let pair = QuicPair::connect(network, &path, transport(), transport()).await;
        path.forward[0].change(|now| *now = config.clone());
        pair
    }

    /// Writes as far as the credit and the pauses allow, and never returns.
    async fn write<T>(&self, pair: &QuicPair, read: &watch::Sender<u64>) -> T {
        let mut stream = pair.client.open_uni().await.unwrap();
        let (mut at, length) = (0, self.content.len() as u64);
        while at < length {
            let limit = |read: u64| {
                let pause = self.pauses.iter().find(|pause| **pause > read);
                pause.unwrap_or(&length).min(&(read + self.credit)).min(&length).to_owned()
            };
            let read = *read.subscribe().wait_for(|read| limit(*read) > at).await.unwrap();
            let end = limit(read).min(at + 256 * KIB);
            if stream.write_chunk(self.content.slice(at as usize..end as usize)).await.is_err() {
                break; // the reader returns the reason
            }
            at = end;
        }
        let _ = stream.finish(); // fails if the stream was reset
        pending().await
    }
}

fn random_bytes(size: u64) -> Bytes {
    std::fs::read(ScratchDir::new().file("content", size as usize)).unwrap().into()
}

#[test]
fn gaps_do_not_close_a_connection() {
    let content = random_bytes(24 * MIB);
    let stream = LossyStream { content: &content, credit: 8 * MIB, pauses: &[] };
    for (number, (what, config)) in links_with_gaps(mbit(300)).into_iter().enumerate() {
        let (max, duration) = run_in_virtual_time(1, async |network| stream.read(&network, &config).await).unwrap();
        println!("{what}: {duration:?}, at most {max} bytes waited for earlier data");
        let in_order = run_in_virtual_time(1, async |network| stream.read_in_order(&network, &config).await);
        println!("{what}, read in order: {in_order:?}");
        if number < TOO_MANY_GAPS {
            let error = format!("{:?}", in_order.unwrap_err());
            assert!(error.contains("too many gaps"), "{error}");
        }
    }
}

#[test]
fn a_reader_that_pauses_is_safe_while_the_unread_data_makes_few_gaps() {
    let content = random_bytes(33 * MIB);
    let mut links = links_with_gaps(mbit(300)).to_vec();
    links.push(("no gaps", unbounded_queue(mbit(300), 100 * MS)));
    for credit in [256 * KIB, 2 * MIB, 4 * MIB, 16 * MIB] {
        let content = content.slice(..(2 * credit + MIB) as usize);
        for (number, (what, config)) in links.iter().enumerate() {
            // Before the first read, quinn keeps the data in order; after it, in the order of arrival.
            for pause in [0, MIB / 2] {
                let stream = LossyStream { content: &content, credit, pauses: &[pause] };
                let read = run_in_virtual_time(1, async |network| stream.read(&network, config).await);
                println!("{} KiB unread at {pause}, {what}: {read:?}", credit / KIB);
                // A gap takes one missing packet and one that has arrived, so that 1,024 gaps take at least 2.4 MB.
                assert!(read.is_ok() || credit > 2 * MIB, "{read:?}");
                let must_fail = credit >= 16 * MIB && number < TOO_MANY_GAPS;
                assert!(read.is_err() || !must_fail, "this case cannot fail, so it proves nothing");
            }
        }
    }
}

#[test]
fn a_transfer_survives_a_second_of_gaps() {
    const SIZE: usize = 60_000_000;
    let clean = unbounded_queue(mbit(600), 100 * MS);
    for (what, config) in links_with_gaps(mbit(600)).into_iter().take(TOO_MANY_GAPS) {
        run_in_virtual_time(1, async |network| {
            let (scenario, memory) = relay_with_budget(&network, 16 * MIB, 1024 * MIB);
            let file = scenario.scratch.file("file", SIZE);
            let (up, down) = (network.path(&clean), network.path(&clean));
            let share = scenario.share(&up, from_ref(&file)).await.unwrap();
            let impairing = async {
                // By then the window has grown as far as the links allow.
                while down.reverse[0].counters().delivered.bytes < SIZE as u64 / 3 {
                    sleep(MS).await;
                }
                let before = down.reverse[0].counters().delivered.bytes;
                for link in [&up.forward[0], &down.reverse[0]] {
                    link.change(|now| *now = config.clone());
                }
                sleep(SECOND).await;
                for link in [&up.forward[0], &down.reverse[0]] {
                    link.change(|now| *now = clean.clone());
                }
                before
            };
            let (download, before) = join!(scenario.download(&down, &share.code), impairing);
            let download = download.unwrap();
            println!("{what}: gaps after {before} bytes, {:?}, {:?}", download.duration, memory.usage());
            assert!(download.contains_copy_of(&file));
            assert!(memory.usage().largest <= max_direction_bytes(16 * MIB), "{:?}", memory.usage());
            share.stop().await.unwrap();
            scenario.stop().await;
        });
    }
}
