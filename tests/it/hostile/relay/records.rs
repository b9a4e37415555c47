//! Records that a relay changes, drops, repeats, swaps or forges, and streams that it cuts.

use std::sync::{Arc, Mutex};

use crate::hostile::{
    hostile_relay::{BridgePlan, Forwarded, StreamDirection, Tamper, Then, forward},
    processes::noise,
};

use super::harness::{
    CREDIT, FIRST, GOODBYE, MANIFEST, MIDDLE, NAME, REQUEST, RelayTest, TAIL, Tape, at, cut, flip, is_last, record,
    shorten, splice, swap,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_bit_on_the_way_to_the_receiver_is_seen() {
    let mut test = RelayTest::new(1).await;
    let direction = StreamDirection::ToReceiver;
    for unit in [MANIFEST, FIRST, TAIL] {
        for (what, tamper) in [
            ("a type that no record has", flip(direction, unit, |_| 0, 1)),
            ("a type that claims to be the last", flip(direction, unit, |_| 0, 0)),
            ("a length beyond all records", flip(direction, unit, |_| 1, 7)),
            ("a shorter length", shorten(direction, unit)),
            ("the first byte of the ciphertext", flip(direction, unit, |_| 4, 0)),
            ("the middle of the ciphertext", flip(direction, unit, |length| length / 2, 3)),
            ("the tag", flip(direction, unit, |length| length - 1, 7)),
        ] {
            let run = test.download(BridgePlan::tamper(tamper)).await;
            run.assert_failed(4, &format!("unit {unit}: {what}"));
        }
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_dropped_repeated_swapped_or_made_up_are_seen() {
    let mut test = RelayTest::new(2).await;
    let direction = StreamDirection::ToReceiver;
    let forged = |unit| {
        at(direction, unit, |bytes| {
            let forgery = [&[0, 0, 0, 100][..], &noise(9, 116)].concat();
            Forwarded([bytes, forgery].concat(), Then::Continue)
        })
    };
    let reflected = Mutex::new(Vec::new());
    let reflect: Tamper = Arc::new(move |w, n, bytes| match (w, n) {
        (StreamDirection::ToSender, REQUEST) => {
            *reflected.lock().unwrap() = bytes.clone();
            forward(bytes)
        }
        (StreamDirection::ToReceiver, FIRST) => forward(reflected.lock().unwrap().clone()),
        _ => forward(bytes),
    });
    for (what, tamper) in [
        ("dropped", at(direction, MIDDLE, |_| Forwarded(Vec::new(), Then::Continue))),
        ("the manifest twice", at(direction, MANIFEST, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("content twice", at(direction, FIRST, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("swapped", swap(direction, MIDDLE)),
        ("a record made up after the manifest", forged(MANIFEST)),
        ("a record made up after content", forged(FIRST)),
        ("the receiver's own record", reflect),
    ] {
        let run = test.download(BridgePlan::tamper(tamper)).await;
        run.assert_failed(4, what);
    }
    // Whether the second copy is still looked at is a matter of time.
    let run = test.download(BridgePlan::tamper(at(direction, TAIL, |b| Forwarded(b.repeat(2), Then::Continue)))).await;
    match run.exit {
        Some(0) => run.assert_saved(NAME, &test.content, "the last content twice"),
        _ => run.assert_failed(4, "the last content twice"),
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_a_cut_however_it_looks() {
    let mut test = RelayTest::new(3).await;
    let direction = StreamDirection::ToReceiver;
    for unit in [MANIFEST, FIRST, MIDDLE] {
        for half in [true, false] {
            for then in [Then::Finish, Then::Reset] {
                let run = test.download(BridgePlan::tamper(cut(direction, unit, half, then))).await;
                run.assert_failed(5, &format!("unit {unit}, in the middle: {half}, {then:?}"));
            }
        }
    }
    let run = test.download(BridgePlan::tamper(cut(direction, TAIL, true, Then::Finish))).await;
    run.assert_failed(5, "the middle of the last content");
    test.assert_alive().await;
}

/// Everything has arrived and is verified: what becomes of the sender's goodbye is of no consequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_the_goodbye_changes_no_file() {
    let mut test = RelayTest::new(4).await;
    let direction = StreamDirection::ToReceiver;
    for (what, tamper) in [
        ("changed", flip(direction, GOODBYE, |length| length - 1, 0)),
        ("swallowed", at(direction, GOODBYE, |_| Forwarded(Vec::new(), Then::Finish))),
        ("reset", at(direction, GOODBYE, |_| Forwarded(Vec::new(), Then::Reset))),
        ("bytes behind it", at(direction, GOODBYE, |b| Forwarded([b, noise(1, 1_000)].concat(), Then::Continue))),
        ("records behind it", at(direction, GOODBYE, |b| Forwarded(b.repeat(3), Then::Continue))),
    ] {
        let run = test.download(BridgePlan::tamper(tamper)).await;
        run.assert_saved(NAME, &test.content, what);
        test.sender.event("download_finished").await;
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_on_the_way_to_the_sender_ends_that_download_only() {
    let mut test = RelayTest::new(5).await;
    let direction = StreamDirection::ToSender;
    let (tape, recorder) = record(direction);
    test.download(BridgePlan::tamper(recorder)).await.assert_saved(NAME, &test.content, "the tape");
    for (what, begun, tamper) in [
        ("the request changed", false, flip(direction, REQUEST, |length| length - 1, 0)),
        ("the request of another type", false, flip(direction, REQUEST, |_| 0, 1)),
        ("the request too long", false, flip(direction, REQUEST, |_| 1, 7)),
        ("the request shorter", false, shorten(direction, REQUEST)),
        ("the request of another download", false, splice(direction, &tape, REQUEST..REQUEST + 1)),
        ("the request twice", false, at(direction, REQUEST, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("credit changed", true, flip(direction, CREDIT, |_| 6, 0)),
        ("credit twice", true, at(direction, CREDIT, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("finished in the middle", true, cut(direction, CREDIT, true, Then::Finish)),
        ("reset in the middle", true, cut(direction, CREDIT, true, Then::Reset)),
        ("finished after the request", false, cut(direction, REQUEST, false, Then::Finish)),
        ("reset in the request", false, cut(direction, REQUEST, true, Then::Reset)),
    ] {
        let run = test.download(BridgePlan::tamper(tamper)).await;
        run.assert_failed(5, what);
        if begun {
            test.sender.event("download_failed").await;
        }
    }
    test.assert_alive().await;
}

/// The receiver has the file; whether the sender hears of it is up to whoever is in between. It counts only what it
/// was truly told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_counts_only_where_its_end_arrives_untouched() {
    let mut test = RelayTest::new(6).await;
    let last = |what: fn(Vec<u8>) -> Forwarded| -> Tamper {
        Arc::new(
            move |w, n, bytes| {
                if w == StreamDirection::ToSender && is_last(n, &bytes) { what(bytes) } else { forward(bytes) }
            },
        )
    };
    for (what, tamper) in [
        ("changed", last(|mut b| (b[5] ^= 1, forward(b)).1)),
        ("swallowed", last(|_| Forwarded(Vec::new(), Then::Finish))),
        ("cut", last(|mut b| (b.pop(), Forwarded(b, Then::Finish)).1)),
        ("not the last any more", last(|mut b| (b[0] = 0, forward(b)).1)),
        ("twice", last(|b| Forwarded(b.repeat(2), Then::Continue))),
        ("reset behind it", last(|b| Forwarded(b, Then::Reset))),
    ] {
        let run = test.download(BridgePlan::tamper(tamper)).await;
        run.assert_saved(NAME, &test.content, what);
        let told = test.sender.first_of(&["download_finished", "download_failed"]).await;
        assert_eq!(told["event"], "download_failed", "{what}: {told}");
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_another_download_of_the_same_share_do_not_fit() {
    let mut test = RelayTest::new(7).await;
    let direction = StreamDirection::ToReceiver;
    let (tape, recorder) = record(direction);
    test.download(BridgePlan::tamper(recorder)).await.assert_saved(NAME, &test.content, "the tape");
    for units in [MANIFEST..MANIFEST + 1, FIRST..FIRST + 1, MIDDLE..MIDDLE + 1, MANIFEST..99, 1..99, 0..99] {
        let run = test.download(BridgePlan::tamper(splice(direction, &tape, units.clone()))).await;
        run.assert_failed(4, &format!("units {units:?} of another download"));
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_downloads_at_once_cannot_be_crossed() {
    let mut test = RelayTest::new(8).await;
    let crossed = Tape::default();
    // The second one gets the middle record of the first.
    let cross = |tape: &Tape| -> Tamper {
        let tape = tape.clone();
        Arc::new(move |direction, n, bytes| {
            if direction != StreamDirection::ToReceiver || n != MIDDLE {
                return forward(bytes);
            }
            let mut tape = tape.lock().unwrap();
            tape.push(bytes);
            forward(tape[0].clone())
        })
    };
    test.relay.plan(BridgePlan::tamper(cross(&crossed)));
    test.relay.plan(BridgePlan::tamper(cross(&crossed)));
    let recv = || test.machine.recv(test.relay.addr(), test.sender.code());
    let (one, other) = tokio::join!(recv(), recv());
    let (whole, crossed) = if one.exit == Some(0) { (one, other) } else { (other, one) };
    whole.assert_saved(NAME, &test.content, "the one that got its own");
    crossed.assert_failed(4, "the one that got the other's");
    test.assert_alive().await;
}
