//! A hostile relay of a real receiver.

use std::time::Duration;

use qshare::internals::{
    code::{Code, Secret, Slot},
    route::Route,
    wire::relay::{ConnectReply, RelayLimits},
};
use tokio::{task::JoinSet, time::timeout};

use super::{FLOOD, MAX_MEMORY};
use crate::{
    hostile::{
        processes::{FinishedRun, TestMachine},
        raw_quic::{Grants, flood, listen, read_frame},
    },
    support::bytes_of,
};

/// Runs a receiver against a relay that does `act` with its connection.
async fn run_against(grants: Grants, options: &[&str], act: impl AsyncFn(quinn::Connection)) -> FinishedRun {
    let (machine, relay) = (TestMachine::new(), listen(grants));
    let code = Code::new(Slot::from_number(77), Secret::random(5).unwrap());
    let attack = async {
        let connection = relay.accept().await.unwrap().await.unwrap();
        tokio::select! {
            () = act(connection.clone()) => {}
            _ = connection.closed() => {}
        }
        connection.closed().await
    };
    let addr = relay.local_addr().unwrap();
    let revealed = code.reveal();
    let run = machine.run_receiver_with(addr, revealed.as_str(), machine.target(), options);
    let (run, _) = tokio::join!(run, attack);
    assert!(run.peak.unwrap() <= MAX_MEMORY, "{:?}", run.peak);
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_cannot_open_streams_to_a_receiver() {
    let flood_new_streams = async |connection: quinn::Connection| {
        let mut floods = JoinSet::new();
        for _ in 0..100 {
            let connection = connection.clone();
            floods.spawn(async move {
                let (mut send, _recv) = connection.open_bi().await.ok()?;
                flood(&mut send, FLOOD).await
            });
        }
        while floods.join_next().await.is_some() {}
    };
    for options in [&["--json", "--list"][..], &["--json", "--yes"]] {
        let run = run_against(Grants::AMPLE, options, flood_new_streams).await;
        run.assert_failed(5, "a relay that does not answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_accepts_nothing_ends_the_receiver() {
    for grants in [Grants { streams: 0, ..Grants::AMPLE }, Grants { stream_window: 0, ..Grants::AMPLE }] {
        let run = run_against(grants, &["--json", "--yes"], async |_| std::future::pending().await).await;
        run.assert_failed(5, "a relay that accepts nothing");
    }
}

/// The relay connects the receiver to a sender that does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_sender_ends_the_receiver() {
    let reply = bytes_of(&ConnectReply {
        limits: RelayLimits { bridge_bytes: 1 << 20 },
        pass: Vec::new(),
        route: Route::Relay,
    });
    let run = run_against(Grants::AMPLE, &["--json", "--yes"], async |connection: quinn::Connection| {
        let (mut send, mut recv) = connection.accept_bi().await.unwrap();
        read_frame(&mut recv).await;
        send.write_all(&reply).await.unwrap();
        std::future::pending().await
    });
    let run = run.await;
    run.assert_failed(5, "a silent sender");
    assert!(run.message().contains("the sender does not answer"), "{}", run.message());
}

/// The relay sends far more than a reply or flight 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_floods_the_receivers_stream_ends_the_receiver() {
    let reply = ConnectReply { limits: RelayLimits { bridge_bytes: 1 << 20 }, pass: Vec::new(), route: Route::Relay };
    for (what, exit, begin) in [("instead of a reply", 5, Vec::new()), ("behind the reply", 4, bytes_of(&reply))] {
        let run = run_against(Grants::AMPLE, &["--json", "--yes"], async |connection: quinn::Connection| {
            let (mut send, mut recv) = connection.accept_bi().await.unwrap();
            read_frame(&mut recv).await;
            send.write_all(&begin).await.unwrap();
            let _ = timeout(Duration::from_secs(5), flood(&mut send, 8 * FLOOD)).await;
        });
        let run = run.await;
        run.assert_failed(exit, what);
    }
}
