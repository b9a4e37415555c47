//! The search for senders on the local network, with an injected responder on loopback that answers as it likes.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    pin::pin,
};

use qshare::internals::net::{LanReach, LanSearch};
use tokio::select;

use crate::support::{LanQuestion, LanResponder, SERVICE, lan_answer, named_lan_answer};

/// The port that the honest answers contain.
const HONEST: u16 = 7000;

fn search(responder: &LanResponder) -> LanSearch {
    LanSearch::start(LanReach::Only(responder.addr()))
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Asserts that the search finds nothing more, although the responder answers as many questions as the search has asked
/// so far, and two more.
async fn assert_nothing_more(search: &mut LanSearch, responder: &LanResponder) {
    select! {
        found = search.next() => panic!("found {found}"),
        () = responder.answered(3) => {}
    }
}

/// Asserts that a search ignores these answers and finds the honest one that follows them.
async fn assert_ignored(mut hostile: impl FnMut(LanQuestion) -> Vec<Vec<u8>> + Send + 'static) {
    let responder = LanResponder::start(move |question| {
        let mut answers = hostile(question);
        answers.push(lan_answer(question.id, HONEST));
        answers
    });
    let mut search = search(&responder);
    assert_eq!(search.next().await, at(HONEST));
    assert_nothing_more(&mut search, &responder).await;
}

#[tokio::test]
async fn each_sender_is_found_once() {
    let responder = LanResponder::announcing(&[7001, 7002, 7003]);
    let mut search = search(&responder);
    let mut found = [search.next().await, search.next().await, search.next().await];
    found.sort();
    assert_eq!(found, [at(7001), at(7002), at(7003)]);
    assert_nothing_more(&mut search, &responder).await;
    assert_eq!(search.asked_networks(), 1);
}

#[tokio::test]
async fn a_lost_message_is_repeated() {
    let responder = LanResponder::start(|question| match question.earlier {
        0 => Vec::new(),
        _ => vec![lan_answer(question.id, HONEST)],
    });
    assert_eq!(search(&responder).next().await, at(HONEST));
}

#[tokio::test]
async fn a_sender_that_starts_later_is_found() {
    let responder = LanResponder::start(|question| {
        let port = if question.earlier < 2 { 7001 } else { 7002 };
        vec![lan_answer(question.id, port)]
    });
    let mut search = search(&responder);
    assert_eq!(search.next().await, at(7001));
    assert_eq!(search.next().await, at(7002));
}

#[tokio::test]
async fn a_cancelled_wait_loses_no_address() {
    let responder = LanResponder::announcing(&[7001, 7002]);
    let mut search = search(&responder);
    let mut found = Vec::new();
    while found.len() < 2 {
        let next = pin!(search.next());
        select! {
            biased;
            addr = next => found.push(addr),
            () = tokio::task::yield_now() => {}
        }
    }
    found.sort();
    assert_eq!(found, [at(7001), at(7002)]);
}

#[tokio::test]
async fn answers_to_other_questions_are_ignored() {
    assert_ignored(|question| vec![lan_answer(question.id ^ 1, 7001), lan_answer(0, 7002)]).await;
}

#[tokio::test]
async fn other_services_are_ignored() {
    assert_ignored(|question| {
        ["_qshare._tcp.local", "_qshare._udp.example", "_other._udp.local", "x._qshare._udp.local", "local"]
            .map(|service| named_lan_answer(question.id, b"name", service, 7001))
            .to_vec()
    })
    .await;
}

#[tokio::test]
async fn low_ports_are_ignored() {
    assert_ignored(|question| [0, 22, 53, 443, 1023].map(|port| lan_answer(question.id, port)).to_vec()).await;
}

#[tokio::test]
async fn questions_and_failures_are_no_answers() {
    assert_ignored(|question| {
        let answer = lan_answer(question.id, 7001);
        let with_flags = |flags: [u8; 2]| {
            let mut changed = answer.clone();
            changed[2..4].copy_from_slice(&flags);
            changed
        };
        vec![with_flags([0, 0]), with_flags([0x84, 3]), with_flags([0xa8, 0])]
    })
    .await;
}

#[tokio::test]
async fn long_answers_are_ignored() {
    assert_ignored(|question| {
        let answer = lan_answer(question.id, 7001);
        let padded = |length| [&answer[..], &vec![0; length - answer.len()]].concat();
        vec![padded(1_473), padded(1_474), padded(9_000), padded(65_000)]
    })
    .await;
}

#[tokio::test]
async fn malformed_answers_are_ignored() {
    assert_ignored(|question| {
        let answer = lan_answer(question.id, 7001);
        let mut hostile: Vec<Vec<u8>> = (0..answer.len()).map(|length| answer[..length].to_vec()).collect();
        let mut endless = answer.clone();
        endless[4..12].copy_from_slice(&[0xff; 8]); // claims 65,535 entries in each section
        let mut looping = answer.clone();
        looping[12..14].copy_from_slice(&[0xc0, 12]); // a name that points at itself
        let mut crossing = answer;
        crossing[12..16].copy_from_slice(&[0xc0, 14, 0xc0, 12]); // two names that point at each other
        hostile.extend([endless, looping, crossing]);
        hostile
    })
    .await;
}

/// Names are not looked at, so nothing in them can reach a screen or a log.
#[tokio::test]
async fn names_have_no_effect() {
    let responder = LanResponder::start(|question| {
        [&b"\x1b[2J\x1b]52;c;AAAA\x07"[..], b"a\nb\0", b"\xff\xfe", "\u{202e}x".as_bytes(), &[b'x'; 63]]
            .iter()
            .zip(7001..)
            .map(|(name, port)| named_lan_answer(question.id, name, SERVICE, port))
            .collect()
    });
    let mut search = search(&responder);
    for port in 7001..=7005 {
        assert_eq!(search.next().await, at(port));
    }
    let debug = format!("{search:?}");
    assert!(debug.is_ascii() && !debug.contains("AAAA"), "{debug}");
}

#[tokio::test]
async fn other_sources_are_ignored() {
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert_ignored(move |question| {
        other.send_to(&lan_answer(question.id, 7001), question.from).unwrap();
        Vec::new()
    })
    .await;
}

#[tokio::test]
async fn one_responder_cannot_announce_more_than_32_senders() {
    let ports: Vec<u16> = (7000..7200).collect();
    let responder = LanResponder::announcing(&ports);
    let mut search = search(&responder);
    for _ in 0..32 {
        search.next().await;
    }
    assert_nothing_more(&mut search, &responder).await;
}

/// A flood uses up the messages that are read after the first question. Those after the next question are read again.
#[tokio::test]
async fn a_flood_does_not_hide_a_later_answer() {
    let responder = LanResponder::start(|question| match question.earlier {
        0 => vec![vec![0; 100]; 20_000],
        _ => vec![lan_answer(question.id, HONEST)],
    });
    assert_eq!(search(&responder).next().await, at(HONEST));
}
