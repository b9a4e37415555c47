//! A hostile relay and hostile receivers of a real sender.

use std::time::Duration;

use qshare::internals::{
    code::{Code, Secret, Slot},
    relay::RelayConfig,
    route::Route,
    transfer::handshake::{Credential, Initiator, InitiatorOptions},
    wire::relay::{ConnectRequest, IncomingDownload, RegisterReply, RelayLimits, SourceTag},
};
use tokio::{task::JoinSet, time::timeout};

use super::{FLOOD, MAX_MEMORY};
use crate::{
    hostile::{
        local_relay::LocalRelay,
        processes::{RunningSender, TestMachine, random_bytes},
        raw_quic::{Grants, connect, flood, listen, read_frame},
    },
    support::{bytes_of, peak_memory},
};

/// How long the attacks run.
const ATTACK: Duration = Duration::from_secs(5);

#[track_caller]
fn assert_small(sender: &RunningSender, what: &str) {
    let peak = peak_memory(sender.id()).unwrap();
    assert!(peak <= MAX_MEMORY, "{what}: the sender used {peak} bytes");
}

/// Returns flight 1 of a receiver that does not know the secret.
fn flight_1(slot: Slot) -> Vec<u8> {
    let code = Code::new(slot, Secret::random(5).unwrap());
    Initiator::new(Credential::Code(&code), InitiatorOptions::default()).unwrap().flight_1().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_floods_every_stream_that_it_may_open() {
    const STREAMS: usize = 1000;
    let slot = Slot::from_number(77);
    let announcement = bytes_of(&IncomingDownload { source: SourceTag::alone([1; 8]), route: Route::Relay });
    for (what, begin) in [
        ("nothing valid", Vec::new()),
        ("an announcement", announcement.clone()),
        ("half a flight 1", [&announcement[..], &flight_1(slot)[..20]].concat()),
        ("a flight 1", [&announcement[..], &flight_1(slot)].concat()),
    ] {
        let (machine, relay) = (TestMachine::new(), listen(Grants::AMPLE));
        let path = machine.file("file", &random_bytes(1, 100_000));
        let attack = async {
            let connection = relay.accept().await.unwrap().await.unwrap();
            let (mut send, mut recv) = connection.accept_bi().await.unwrap();
            read_frame(&mut recv).await;
            let reply = RegisterReply { slot, ticket: Vec::new(), limits: RelayLimits { bridge_bytes: 1 << 20 } };
            send.write_all(&bytes_of(&reply)).await.unwrap();
            let mut floods = JoinSet::new();
            for _ in 0..STREAMS {
                let (connection, begin) = (connection.clone(), begin.clone());
                floods.spawn(async move {
                    let (mut send, _recv) = connection.open_bi().await.ok()?;
                    send.write_all(&begin).await.ok()?;
                    flood(&mut send, FLOOD).await
                });
            }
            let _ = timeout(ATTACK, async { while floods.join_next().await.is_some() {} }).await;
            (send, recv, connection)
        };
        let addr = relay.local_addr().unwrap();
        let paths = [path.as_path()];
        let (sender, _registration) = tokio::join!(machine.start_sender(addr, &paths, &[]), attack);
        assert_small(&sender, what);
    }
}

/// More receivers than the guess budget has attempts: most of them wait for one, and flood their streams meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_flood_their_streams_while_they_wait_for_admission() {
    let (machine, relay) = (TestMachine::new(), LocalRelay::start(RelayConfig::default()));
    let content = random_bytes(1, 3_000_000);
    let path = machine.file("file", &content);
    let sender = machine.start_sender(relay.addr(), &[&path], &[]).await;
    let slot = Code::parse(sender.code()).unwrap().slot();
    let mut floods = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..8 {
        let connection = connect(relay.addr(), Grants::AMPLE).await;
        for _ in 0..15 {
            let connection = connection.clone();
            floods.spawn(async move {
                let (mut send, _recv) = connection.open_bi().await.ok()?;
                let request = bytes_of(&ConnectRequest { slot, token: None, pass: None });
                send.write_all(&[request, flight_1(slot)].concat()).await.ok()?;
                flood(&mut send, FLOOD).await
            });
        }
        connections.push(connection);
    }
    let _ = timeout(ATTACK, async { while floods.join_next().await.is_some() {} }).await;
    assert_small(&sender, "floods behind flight 1");
}

/// A relay that accepts nothing does not keep the sender waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_accepts_nothing_ends_the_sender() {
    for grants in [Grants { streams: 0, ..Grants::AMPLE }, Grants { stream_window: 0, ..Grants::AMPLE }] {
        let (machine, relay) = (TestMachine::new(), listen(grants));
        let path = machine.file("file", b"content");
        let addr = relay.local_addr().unwrap();
        let silent = async {
            let connection = relay.accept().await.unwrap().await.unwrap();
            connection.closed().await
        };
        let (run, _) = tokio::join!(machine.run_sender(addr, &path), silent);
        run.assert_failed(5, "a relay that accepts nothing");
        assert!(run.took < Duration::from_secs(15), "{:?}", run.took);
    }
}
