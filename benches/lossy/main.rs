#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
#[path = "../../tests/vnet/mod.rs"]
mod vnet;

use quinn::{
    TransportConfig,
    congestion::{BbrConfig, ControllerFactory, CubicConfig},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;
use vnet::*;

const MS: Duration = Duration::from_millis(1);

fn config(cc: &str) -> TransportConfig {
    let mut c = TransportConfig::default();
    let f: Arc<dyn ControllerFactory + Send + Sync> = match cc {
        "own" => qshare::net::Congestion::Auto.factory(32 * 1452),
        "cubic" => Arc::new(CubicConfig::default()),
        "bbr" => Arc::new(BbrConfig::default()),
        _ => panic!(),
    };
    c.congestion_controller_factory(f)
        .send_window(64 << 20)
        .stream_receive_window((64u32 << 20).into())
        .receive_window(quinn::VarInt::MAX);
    c
}

struct Out {
    goodput: f64,
    all: f64,
    sent: f64,
    over: f64,
    srtt: f64,
    start: f64,
}

/// One flow alone for so long.
async fn alone(network: &Network, cc: &str, way: &Way, secs: f64, rate: u64) -> Option<Out> {
    let bare = Bare::connect(network, way, config(cc), config(cc)).await;
    let bytes = (rate as f64 * secs) as u64;
    let base = way.there[0].line().delay + way.back[0].line().delay;
    let c0 = way.there[0].counters();
    let began = tokio::time::Instant::now();
    let sampling = async {
        let (mut sum, mut n) = (0.0, 0);
        let mut start = f64::NAN;
        let mut half = (Duration::ZERO, 0);
        let mut marks = std::collections::VecDeque::new();
        let step = Duration::from_millis(10).max(base / 4);
        loop {
            sleep(step).await;
            if began.elapsed().as_secs_f64() > secs / 2.0 {
                sum += bare.out.stats().path.rtt.as_secs_f64() / base.as_secs_f64();
                n += 1;
            }
            if std::env::var("V").as_deref() == Ok("3") {
                println!(
                    "{:?} {:?} arrived {} {:?}",
                    began.elapsed(),
                    bare.out.stats().path,
                    bare.arrived(),
                    way.there[0].counters()
                );
            }
            marks.push_back((began.elapsed(), way.there[0].counters().delivered.bytes));
            if marks.len() > 5 {
                marks.pop_front();
            }
            let (a, b) = (marks[0], marks[marks.len() - 1]);
            if marks.len() == 5
                && start.is_nan()
                && (b.1 - a.1) as f64 / (b.0 - a.0).as_secs_f64()
                    >= 0.9 * rate as f64 * (1.0 - way.there[0].line().loss)
            {
                start = began.elapsed().as_secs_f64() / base.as_secs_f64();
            }
            if began.elapsed().as_secs_f64() < secs / 2.0 {
                half = (began.elapsed(), bare.arrived());
            }
            if bare.arrived() >= bytes
                || began.elapsed().as_secs_f64() > secs * 3.0
                || bare.out.close_reason().is_some()
            {
                return (
                    sum / n.max(1) as f64,
                    start,
                    (bare.arrived() - half.1) as f64 / (began.elapsed() - half.0).as_secs_f64(),
                );
            }
        }
    };
    let (s, start, steady) = tokio::select! { biased; s = sampling => { s }, _ = async { bare.send(bytes * 2).await } => (f64::NAN, f64::NAN, f64::NAN) };
    if std::env::var("V").is_ok() {
        println!("{:?} {:?}", bare.out.stats().path, way.there[0].counters());
    }
    if bare.out.close_reason().is_some() {
        return None;
    }
    let t = began.elapsed().as_secs_f64();
    let c1 = way.there[0].counters();
    let arrived = bare.arrived();
    Some(Out {
        goodput: steady,
        all: arrived as f64 / t,
        sent: (c1.offered.bytes - c0.offered.bytes) as f64 / arrived as f64,
        over: (c1.overflowed.packets + c1.policed.packets) as f64 / c1.offered.packets as f64,
        srtt: s,
        start,
    })
}

fn par<T: Send, F: FnOnce() -> T + Send>(jobs: Vec<F>) -> Vec<T> {
    let n = jobs.len();
    let jobs: Mutex<Vec<(usize, F)>> = Mutex::new(jobs.into_iter().enumerate().rev().collect());
    let out = Mutex::new((0..n).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                loop {
                    let Some((i, j)) = jobs.lock().unwrap().pop() else { return };
                    let t = std::panic::catch_unwind(std::panic::AssertUnwindSafe(j));
                    out.lock().unwrap()[i] = t.ok();
                }
            });
        }
    });
    out.into_inner().unwrap().into_iter().flatten().collect()
}

/// Fractions of the line of two flows over windows.
async fn versus(network: &Network, a: &str, b: &str, line: &Line, offset: f64, secs: f64) -> (f64, f64, f64) {
    let w1 = network.way(line);
    let w2 = Way { there: w1.there.clone(), back: w1.back.clone() };
    let first = Bare::connect(network, &w1, config(a), config(a)).await;
    let go1 = async { first.send(u64::MAX / 2).await };
    let rest = async {
        sleep(Duration::from_secs_f64(offset)).await;
        let second = Bare::connect(network, &w2, config(b), config(b)).await;
        let m = async {
            sleep(Duration::from_secs_f64(20.0)).await;
            let (x, y) = (first.arrived(), second.arrived());
            let mut last = (x, y);
            let mut left = secs - 20.0;
            while left > 0.0 {
                sleep(Duration::from_secs(10)).await;
                left -= 10.0;
                if std::env::var("V").is_ok() {
                    println!(
                        "   {:.2} {:.2} | {:?} {:?}",
                        (first.arrived() - last.0) as f64 * 8e-7,
                        (second.arrived() - last.1) as f64 * 8e-7,
                        first.out.stats().path.rtt,
                        second.out.stats().path.rtt
                    );
                }
                last = (first.arrived(), second.arrived());
            }
            (first.arrived() - x, second.arrived() - y)
        };
        tokio::select! { m = m => m, _ = second.send(u64::MAX / 2) => unreachable!() }
    };
    let (x, y) = tokio::select! { r = rest => r, _ = go1 => unreachable!() };
    let (x, y) = (x as f64, y as f64);
    (x / (x + y), (x + y) / (secs - 20.0), (x + y).powi(2) / (2.0 * (x * x + y * y)))
}

fn main() {
    if std::env::var("V").as_deref() == Ok("2") {
        tracing_subscriber::fmt().with_env_filter("qshare=trace").with_target(false).init();
    }
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let cc = args.get(1).cloned().unwrap_or("own".into());
    let eta = 0.9556;
    match args[0].as_str() {
        "grid" => {
            let only: Vec<f64> = args.iter().skip(2).map(|a| a.parse().unwrap()).collect();
            let mut jobs = Vec::new();
            for rate in [10u64, 100, 300] {
                for rtt in [10u32, 50, 200] {
                    for loss in [0.0, 0.001, 0.01, 0.02, 0.05, 0.1] {
                        if !only.is_empty()
                            && (only[0] as u64 != rate
                                || only.len() > 1 && only[1] as u32 != rtt
                                || only.len() > 2 && only[2] != loss)
                        {
                            continue;
                        }
                        let cc = cc.clone();
                        jobs.push(move || {
                            let secs = match rate {
                                10 => 60.0,
                                100 => 20.0,
                                _ => 12.0,
                            };
                            let line = Line::new(mbit(rate), rtt * MS);
                            let o = virtually(1, async |n| {
                                let mut way = n.way(&line.clone().loss(loss));
                                way.back = vec![n.pipe(&line)];
                                alone(&n, &cc, &way, secs, mbit(rate)).await
                            });
                            (rate, rtt, loss, o)
                        });
                    }
                }
            }
            for (rate, rtt, loss, o) in par(jobs) {
                match o {
                    None => println!("{rate:4} {rtt:4} {loss:5}  died"),
                    Some(o) => println!(
                        "{rate:4} {rtt:4} {loss:5}  steady {:.3} all {:.3}  sent/byte {:.3}  over {:.4} srtt {:.2} start {:.1} rtts",
                        o.goodput / (mbit(rate) as f64 * (1.0 - loss) * eta),
                        o.all / (mbit(rate) as f64 * (1.0 - loss) * eta),
                        o.sent * eta * (1.0 - loss),
                        o.over,
                        o.srtt,
                        o.start
                    ),
                }
            }
        }
        "vs" => {
            let mut jobs: Vec<Box<dyn FnOnce() -> String + Send>> = Vec::new();
            let other = args.get(2).cloned().unwrap_or("cubic".into());
            for (rate, rtt) in [(10u64, 50u32), (50, 20), (50, 50), (100, 20), (100, 50)] {
                for buf in [0.5, 1.0, 2.0] {
                    for own_first in [true, false] {
                        if args.len() > 5
                            && (args[3].parse::<u64>().unwrap() != rate
                                || args[4].parse::<u32>().unwrap() != rtt
                                || args[5].parse::<f64>().unwrap() != buf)
                        {
                            continue;
                        }
                        let (cc, other) = (cc.clone(), other.clone());
                        jobs.push(Box::new(move || {
                    let line = Line::new(mbit(rate), rtt * MS);
                    let q = (line.queue as f64 * buf) as u64;
                    let line = line.queue(q);
                    let (a, b) = if own_first { (&cc, &other) } else { (&other, &cc) };
                    let (x, total, jain) = virtually(1, async |n| versus(&n, a, b, &line, 5.0, 100.0).await);
                    let own = if own_first { x } else { 1.0 - x };
                    format!("{rate:4} {rtt:3} buf {buf} first {own_first:5}: own {own:.3} total {:.3} jain {jain:.3}", total / (mbit(rate) as f64 * eta))
                }));
                    }
                }
            }
            for s in par(jobs) {
                println!("{s}");
            }
        }
        "odd" => {
            let l = |r: u64, t: u32| Line::new(mbit(r), t * MS);
            let bdp = |r: u64, t: u32| mbit(r) * t as u64 / 1000;
            let cases: Vec<(&str, Line, u64, f64, f64)> = vec![
                ("0.05 bdp 100/50", l(100, 50).queue(bdp(100, 50) / 20), 100, 20.0, 0.0),
                ("0.1 bdp 100/50", l(100, 50).queue(bdp(100, 50) / 10), 100, 20.0, 0.0),
                ("0.1 bdp 300/50", l(300, 50).queue(bdp(300, 50) / 10), 300, 12.0, 0.0),
                ("0.1 bdp 100/50 1%", l(100, 50).queue(bdp(100, 50) / 10).loss(0.01), 100, 20.0, 0.01),
                ("2 bdp 100/50", l(100, 50).queue(bdp(100, 50) * 2), 100, 20.0, 0.0),
                ("2 bdp 10/10", l(10, 10).queue(bdp(10, 10) * 2), 10, 60.0, 0.0),
                ("policer 50 of 300/50 100kB", l(300, 50).policer(mbit(50), 100_000), 50, 30.0, 0.0),
                ("policer 50 of 300/50 1MB", l(300, 50).policer(mbit(50), 1_000_000), 50, 30.0, 0.0),
                ("policer 20 of 100/20 30kB", l(100, 20).policer(mbit(20), 30_000), 20, 30.0, 0.0),
                ("jitter 5 100/50", l(100, 50).jitter(5 * MS), 100, 20.0, 0.0),
                ("jitter 10 100/20", l(100, 20).jitter(10 * MS), 100, 20.0, 0.0),
                ("jitter 3 300/10", l(300, 10).jitter(3 * MS), 300, 12.0, 0.0),
                ("bursts 4 1% 100/50", l(100, 50).bursts(0.01, 4.0), 100, 20.0, 0.01),
                ("bursts 12 1% 100/50", l(100, 50).bursts(0.01, 12.0), 100, 20.0, 0.01),
                ("bursts 4 3% 100/50", l(100, 50).bursts(0.03, 4.0), 100, 20.0, 0.03),
                ("bursts 12 3% 100/50", l(100, 50).bursts(0.03, 12.0), 100, 20.0, 0.03),
                (
                    "bursts 12 3% jitter 5 reorder 100/50",
                    l(100, 50).bursts(0.03, 12.0).jitter(5 * MS).reordering(0.01, 5 * MS),
                    100,
                    20.0,
                    0.03,
                ),
                (
                    "bursts 4 1% jitter 5 reorder 100/50",
                    l(100, 50).bursts(0.01, 4.0).jitter(5 * MS).reordering(0.01, 5 * MS),
                    100,
                    20.0,
                    0.01,
                ),
                (
                    "bursts 4 1% jitter 5 reorder 300/200",
                    l(300, 200).bursts(0.01, 4.0).jitter(5 * MS).reordering(0.01, 5 * MS),
                    300,
                    12.0,
                    0.01,
                ),
                (
                    "bursts 12 3% jitter 5 reorder 10/50",
                    l(10, 50).bursts(0.03, 12.0).jitter(5 * MS).reordering(0.01, 5 * MS),
                    10,
                    60.0,
                    0.03,
                ),
                ("reorder 1% 5ms 100/50", l(100, 50).reordering(0.01, 5 * MS), 100, 20.0, 0.0),
                ("30% 100/50", l(100, 50).loss(0.3), 100, 20.0, 0.3),
                ("1000/100", l(1000, 100), 1000, 6.0, 0.0),
                ("1000/1", l(1000, 1), 1000, 3.0, 0.0),
                ("500/100 1%", l(500, 100).loss(0.01), 500, 8.0, 0.01),
                ("2/600 sat", l(2, 600), 2, 100.0, 0.0),
            ];
            let jobs: Vec<_> = cases
                .into_iter()
                .filter(|c| args.get(2).is_none_or(|w| c.0.contains(w.as_str())))
                .map(|(name, line, rate, secs, loss)| {
                    let cc = cc.clone();
                    move || {
                        let o = virtually(1, async |n| {
                            let mut way = n.way(&line);
                            way.back = vec![n.pipe(&Line { policer: None, loss: 0.0, bursts: None, ..line.clone() })];
                            alone(&n, &cc, &way, secs, mbit(rate)).await
                        });
                        (name, rate, loss, o)
                    }
                })
                .collect();
            for (name, rate, loss, o) in par(jobs) {
                match o {
                    None => println!("{name:40} died"),
                    Some(o) => println!(
                        "{name:40} steady {:.3} all {:.3} sent/byte {:.3} over {:.4} srtt {:.2} start {:.1}",
                        o.goodput / (mbit(rate) as f64 * (1.0 - loss) * eta),
                        o.all / (mbit(rate) as f64 * (1.0 - loss) * eta),
                        o.sent * eta * (1.0 - loss),
                        o.over,
                        o.srtt,
                        o.start
                    ),
                }
            }
        }
        "change" => {
            type Change = fn(&mut Line);
            let l = |r: u64, t: u32| Line::new(mbit(r), t * MS);
            let cases: Vec<(&str, Line, Change)> = vec![
                ("rate halves 100/50", l(100, 50), |l| l.rate = Some(mbit(50))),
                ("rate doubles 100/50", l(100, 50), |l| l.rate = Some(mbit(200))),
                ("rate x10 20/50", l(20, 50), |l| l.rate = Some(mbit(200))),
                ("rate /10 100/50", l(100, 50), |l| l.rate = Some(mbit(10))),
                ("rtt 50 to 100", l(100, 50), |l| l.delay = 50 * MS),
                ("rtt 20 to 200", l(100, 20), |l| l.delay = 100 * MS),
                ("rtt 100 to 30", l(100, 100), |l| l.delay = 15 * MS),
                ("loss 0 to 5", l(100, 50), |l| l.loss = 0.05),
                ("loss 5 to 0", l(100, 50).loss(0.05), |l| l.loss = 0.0),
                ("rate halves, 0.1 bdp", l(100, 50).queue(mbit(100) / 200), |l| l.rate = Some(mbit(50))),
            ];
            let jobs: Vec<_> = cases.into_iter().filter(|c| args.get(2).is_none_or(|w| c.0.contains(w.as_str()))).map(|(name, line, change)| { let cc = cc.clone(); move || {
                virtually(1, async |n| {
                    let way = Way { there: vec![n.pipe(&line)], back: vec![n.pipe(&line)] };
                    let bare = Bare::connect(&n, &way, config(&cc), config(&cc)).await;
                    way.there[0].change_after(5000 * MS, change);
                    if line.delay != { let mut l = line.clone(); change(&mut l); l.delay } { way.back[0].change_after(5000 * MS, change); }
                    let watch = async { let mut out = String::new(); let mut last = 0; let mut lastc = way.there[0].counters();
                        for t in 0..50 { sleep(500 * MS).await; let a = bare.arrived(); let c = way.there[0].counters();
                            if t >= 7 { out += &format!(" {:.0}", (a - last) as f64 * 16e-6);
                            let drops = c.overflowed.packets - lastc.overflowed.packets; if drops > 0 { out += &format!("({drops})"); }
                            if t % 8 == 7 { out += &format!(" [{:?}]", bare.out.stats().path.rtt); } }
                            last = a; lastc = c; }
                        out };
                    tokio::select! { o = watch => format!("{name}: {o}"), _ = bare.send(u64::MAX / 2) => unreachable!() }
                }) } }).collect();
            for s in par(jobs) {
                println!("{s}");
            }
        }
        _ => panic!(),
    }
}
