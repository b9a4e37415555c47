//! Peers that send nothing, or no valid flight 1.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use qshare::internals::{
    error::Kind,
    net::duplex,
    transfer::handshake::{HandshakeFailure, Responder, guess_budget::BURST},
    wire::{
        Frame,
        peer::{Alert, AlertReason, DoneAck, Hello},
    },
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::harness::{
    ClearFrame, any_source, find_frame, first_record, initiate, new_budget, new_code, passive, record_frames,
    run_handshake,
};
use crate::support::bytes_of;

#[tokio::test(start_paused = true)]
async fn a_malformed_flight_1_costs_no_guess() {
    let code = new_code();
    let hello = find_frame(&record_frames(&code).await, ClearFrame::Hello);
    let with_point = |point: [u8; 33]| {
        let mut message: Hello = Frame::split(&mut &hello[..]).unwrap().decode().unwrap();
        message.exchanges[0].message = point.to_vec();
        bytes_of(&message)
    };
    let identity: [u8; 33] = std::array::from_fn(|i| [b'A', 1].get(i).copied().unwrap_or(0));
    let low_order: [u8; 33] = std::array::from_fn(|i| if i == 0 { b'A' } else { 0 });
    for flight in [
        vec![0x31, 0, 0, 0, 0],
        vec![0x31, 0xff, 0xff, 0xff, 0xff],
        vec![0x32, 0, 0, 0, 1, 1],
        vec![0x31, 0, 0, 0, 3, 0xff, 0xff, 0xff],
        vec![0xff; 5],
        with_point(identity),
        with_point(low_order),
        with_point([0xff; 33]),
        bytes_of(&DoneAck {}),
    ] {
        let (budget, _) = new_budget();
        let [mut near, far] = duplex();
        near.0.write(Bytes::from(flight.clone())).await.unwrap();
        let refused = Responder::new(&code, &budget, any_source()).accept(first_record(), far).await.err();
        assert_eq!(refused, Some(HandshakeFailure::NotCharged), "{flight:x?}");
        let alert: Alert = near.1.read_frame(4096).await.unwrap().frame().decode().unwrap();
        assert_eq!(alert.reason, AlertReason::Malformed, "{flight:x?}");
        assert_eq!(budget.remaining(), BURST);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_receiver_times_out_and_costs_no_guess() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let [_near, far] = duplex();
    let responding =
        timeout(Duration::from_secs(11), Responder::new(&code, &budget, any_source()).accept(first_record(), far));
    assert_eq!(responding.await.unwrap().err(), Some(HandshakeFailure::NotCharged));
    assert_eq!(budget.remaining(), BURST);
}

#[tokio::test(start_paused = true)]
async fn a_silent_sender_times_out() {
    let code = new_code();
    let [near, _far] = duplex();
    let initiated = timeout(Duration::from_secs(15), initiate(&code, near)).await.unwrap();
    assert_eq!(initiated.err().unwrap().kind(), Kind::Network);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_silent_streams_do_not_block_an_honest_receiver() {
    let (code, (budget, _)) = (new_code(), new_budget());
    let open = Arc::new(Semaphore::new(0));
    let mut silent = JoinSet::new();
    for _ in 0..200 {
        let (code, budget, open) = (code.clone(), budget.clone(), open.clone());
        silent.spawn(async move {
            let [near, far] = duplex();
            open.add_permits(1);
            let failure = Responder::new(&code, &budget, any_source()).accept(first_record(), far).await.err();
            drop(near);
            failure
        });
    }
    let _all = open.acquire_many(200).await.unwrap();
    let outcomes = run_handshake(&code, &code, &budget, passive()).await;
    assert!(outcomes.receiver.is_ok() && outcomes.sender.is_ok());
    assert_eq!(silent.len(), 200);
    while let Some(failure) = silent.join_next().await {
        assert_eq!(failure.unwrap(), Some(HandshakeFailure::NotCharged));
    }
}
