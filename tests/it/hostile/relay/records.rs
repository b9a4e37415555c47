//! Records that a relay changes, drops, repeats, swaps or forges, and streams that it cuts.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::harness::{
    CREDIT, DONE_ACK, FIRST_CONTENT, LAST_CONTENT, MANIFEST, NAME, REQUEST, Recording, RelayTest, SECOND_CONTENT, cut,
    flip, is_last, record, shorten, splice, swap, tamper_with,
};
use crate::hostile::{
    hostile_relay::{BridgePlan, Forwarded, StreamDirection, Tamper, Then, forward},
    processes::random_bytes,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_a_flipped_bit_in_any_part_of_a_record() {
    let mut test = RelayTest::new(1).await;
    let direction = StreamDirection::ToReceiver;
    for unit in [MANIFEST, FIRST_CONTENT, LAST_CONTENT] {
        for (what, tamper) in [
            ("a type that no record has", flip(direction, unit, |_| 0, 1)),
            ("a type that claims to be the last", flip(direction, unit, |_| 0, 0)),
            ("a length beyond all records", flip(direction, unit, |_| 1, 7)),
            ("a shorter length", shorten(direction, unit)),
            ("the first byte of the ciphertext", flip(direction, unit, |_| 4, 0)),
            ("the middle of the ciphertext", flip(direction, unit, |length| length / 2, 3)),
            ("the tag", flip(direction, unit, |length| length - 1, 7)),
        ] {
            let run = test.download(BridgePlan::tampering(tamper)).await;
            run.assert_failed(4, &format!("unit {unit}: {what}"));
        }
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_dropped_repeated_swapped_and_forged_records() {
    let mut test = RelayTest::new(2).await;
    let direction = StreamDirection::ToReceiver;
    let forged = |unit| {
        tamper_with(direction, unit, |bytes| {
            let forgery = [&[0, 0, 0, 100][..], &random_bytes(9, 116)].concat();
            Forwarded([bytes, forgery].concat(), Then::Continue)
        })
    };
    let reflected = Mutex::new(Vec::new());
    let reflect: Tamper = Arc::new(move |d, n, bytes| match (d, n) {
        (StreamDirection::ToSender, REQUEST) => {
            *reflected.lock().unwrap() = bytes.clone();
            forward(bytes)
        }
        (StreamDirection::ToReceiver, FIRST_CONTENT) => forward(reflected.lock().unwrap().clone()),
        _ => forward(bytes),
    });
    for (what, tamper) in [
        ("dropped", tamper_with(direction, SECOND_CONTENT, |_| Forwarded(Vec::new(), Then::Continue))),
        ("the manifest twice", tamper_with(direction, MANIFEST, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("content twice", tamper_with(direction, FIRST_CONTENT, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("swapped", swap(direction, SECOND_CONTENT)),
        ("a forged record after the manifest", forged(MANIFEST)),
        ("a forged record after content", forged(FIRST_CONTENT)),
        ("the receiver's own record", reflect),
    ] {
        let run = test.download(BridgePlan::tampering(tamper)).await;
        run.assert_failed(4, what);
    }
    // The receiver may end before it reads the second copy.
    let run = test
        .download(BridgePlan::tampering(tamper_with(direction, LAST_CONTENT, |b| {
            Forwarded(b.repeat(2), Then::Continue)
        })))
        .await;
    match run.exit {
        Some(0) => run.assert_saved(NAME, &test.content, "the last content twice"),
        _ => run.assert_failed(4, "the last content twice"),
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_reports_a_cut_stream_as_a_network_error() {
    let mut test = RelayTest::new(3).await;
    let direction = StreamDirection::ToReceiver;
    for unit in [MANIFEST, FIRST_CONTENT, SECOND_CONTENT] {
        for half in [true, false] {
            for then in [Then::Finish, Then::Reset] {
                let run = test.download(BridgePlan::tampering(cut(direction, unit, half, then))).await;
                run.assert_failed(5, &format!("unit {unit}, in the middle: {half}, {then:?}"));
            }
        }
    }
    let run = test.download(BridgePlan::tampering(cut(direction, LAST_CONTENT, true, Then::Finish))).await;
    run.assert_failed(5, "the middle of the last content");
    test.assert_alive().await;
}

/// By then everything has arrived and is verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_with_the_final_acknowledgement_does_not_fail_the_receiver() {
    let mut test = RelayTest::new(4).await;
    let direction = StreamDirection::ToReceiver;
    for (what, tamper) in [
        ("changed", flip(direction, DONE_ACK, |length| length - 1, 0)),
        ("dropped", tamper_with(direction, DONE_ACK, |_| Forwarded(Vec::new(), Then::Finish))),
        ("reset", tamper_with(direction, DONE_ACK, |_| Forwarded(Vec::new(), Then::Reset))),
        (
            "bytes behind it",
            tamper_with(direction, DONE_ACK, |b| Forwarded([b, random_bytes(1, 1_000)].concat(), Then::Continue)),
        ),
        ("records behind it", tamper_with(direction, DONE_ACK, |b| Forwarded(b.repeat(3), Then::Continue))),
    ] {
        let is_reached = Arc::new(AtomicBool::new(false));
        let reached = is_reached.clone();
        let observed: Tamper = Arc::new(move |d, n, bytes| {
            if (d, n) == (direction, DONE_ACK) {
                reached.store(is_last(n, &bytes), Ordering::Relaxed);
            }
            tamper(d, n, bytes)
        });
        let run = test.download(BridgePlan::tampering(observed)).await;
        run.assert_saved(NAME, &test.content, what);
        test.sender.wait_for("download_finished").await;
        assert!(is_reached.load(Ordering::Relaxed), "{what}: the last record is not unit {DONE_ACK}");
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampering_with_the_receivers_records_fails_only_that_download() {
    let mut test = RelayTest::new(5).await;
    let direction = StreamDirection::ToSender;
    let (recorded, recorder) = record(direction);
    test.download(BridgePlan::tampering(recorder)).await.assert_saved(NAME, &test.content, "the recorded download");
    for (what, is_started, tamper) in [
        ("the request changed", false, flip(direction, REQUEST, |length| length - 1, 0)),
        ("the request of another type", false, flip(direction, REQUEST, |_| 0, 1)),
        ("the request too long", false, flip(direction, REQUEST, |_| 1, 7)),
        ("the request shorter", false, shorten(direction, REQUEST)),
        ("the request of another download", false, splice(direction, &recorded, REQUEST..REQUEST + 1)),
        ("the request twice", false, tamper_with(direction, REQUEST, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("credit changed", true, flip(direction, CREDIT, |_| 6, 0)),
        ("credit twice", true, tamper_with(direction, CREDIT, |b| Forwarded(b.repeat(2), Then::Continue))),
        ("finished in the middle", true, cut(direction, CREDIT, true, Then::Finish)),
        ("reset in the middle", true, cut(direction, CREDIT, true, Then::Reset)),
        ("finished after the request", false, cut(direction, REQUEST, false, Then::Finish)),
        ("reset in the request", false, cut(direction, REQUEST, true, Then::Reset)),
    ] {
        let run = test.download(BridgePlan::tampering(tamper)).await;
        run.assert_failed(5, what);
        if is_started {
            test.sender.wait_for("download_failed").await;
        }
    }
    test.assert_alive().await;
}

/// The receiver has the file, but the sender must not count a download whose end was not authenticated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_counts_a_download_only_if_its_last_record_is_authentic() {
    let mut test = RelayTest::new(6).await;
    let last = |what: fn(Vec<u8>) -> Forwarded| -> Tamper {
        Arc::new(
            move |d, n, bytes| {
                if d == StreamDirection::ToSender && is_last(n, &bytes) { what(bytes) } else { forward(bytes) }
            },
        )
    };
    for (what, tamper) in [
        ("changed", last(|mut b| (b[5] ^= 1, forward(b)).1)),
        ("dropped", last(|_| Forwarded(Vec::new(), Then::Finish))),
        ("cut", last(|mut b| (b.pop(), Forwarded(b, Then::Finish)).1)),
        ("not marked as the last", last(|mut b| (b[0] = 0, forward(b)).1)),
        ("twice", last(|b| Forwarded(b.repeat(2), Then::Continue))),
        ("reset behind it", last(|b| Forwarded(b, Then::Reset))),
    ] {
        let run = test.download(BridgePlan::tampering(tamper)).await;
        run.assert_saved(NAME, &test.content, what);
        let reported = test.sender.first_of(&["download_finished", "download_failed"]).await;
        assert_eq!(reported["event"], "download_failed", "{what}: {reported}");
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_records_of_another_download_of_the_same_share() {
    let mut test = RelayTest::new(7).await;
    let direction = StreamDirection::ToReceiver;
    let (recorded, recorder) = record(direction);
    test.download(BridgePlan::tampering(recorder)).await.assert_saved(NAME, &test.content, "the recorded download");
    for units in [
        MANIFEST..MANIFEST + 1,
        FIRST_CONTENT..FIRST_CONTENT + 1,
        SECOND_CONTENT..SECOND_CONTENT + 1,
        MANIFEST..99,
        1..99,
        0..99,
    ] {
        let run = test.download(BridgePlan::tampering(splice(direction, &recorded, units.clone()))).await;
        run.assert_failed(4, &format!("units {units:?} of another download"));
    }
    test.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_detects_a_record_of_a_parallel_download() {
    let mut test = RelayTest::new(8).await;
    let recorded = Recording::default();
    // The later download gets a record of the earlier one.
    let cross = |recorded: &Recording| -> Tamper {
        let recorded = recorded.clone();
        Arc::new(move |direction, n, bytes| {
            if direction != StreamDirection::ToReceiver || n != SECOND_CONTENT {
                return forward(bytes);
            }
            let mut recorded = recorded.lock().unwrap();
            recorded.push(bytes);
            forward(recorded[0].clone())
        })
    };
    test.relay.plan(BridgePlan::tampering(cross(&recorded)));
    test.relay.plan(BridgePlan::tampering(cross(&recorded)));
    let recv = || test.machine.run_receiver(test.relay.addr(), test.sender.code());
    let (one, other) = tokio::join!(recv(), recv());
    let (whole, crossed) = if one.exit == Some(0) { (one, other) } else { (other, one) };
    whole.assert_saved(NAME, &test.content, "the download with its own records");
    crossed.assert_failed(4, "the download with a record of the other one");
    test.assert_alive().await;
}
