//! Hostile clients of a real relay.

use std::{net::SocketAddr, time::Duration};

use qshare::internals::{
    code::Slot,
    wire::{
        Frame,
        relay::{ConnectRequest, RegisterReply, RegisterRequest},
        reset_code::PROTOCOL_ERROR,
    },
};
use tokio::{task::JoinSet, time::timeout};

use super::{FLOOD, MAX_MEMORY};
use crate::{
    hostile::{
        processes::{TestMachine, random_bytes, within},
        raw_quic::{Grants, connect, flood, read_frame},
    },
    support::{RelayProcess, TestEnv, bytes_of, peak_memory},
};

/// How long the attacks run.
const ATTACK: Duration = Duration::from_secs(5);

const NO_STREAMS: Grants = Grants { streams: 0, ..Grants::AMPLE };
const NO_WINDOW: Grants = Grants { stream_window: 0, ..Grants::AMPLE };

/// A real relay, and its address.
fn start_relay() -> (TestEnv, RelayProcess, SocketAddr) {
    let env = TestEnv::new();
    let relay = env.relay();
    let addr = relay.addr.parse().unwrap();
    (env, relay, addr)
}

/// Registers a slot over a raw connection, which must stay open.
async fn register(sender: &quinn::Connection) -> (Slot, (quinn::SendStream, quinn::RecvStream)) {
    let (mut send, mut recv) = sender.open_bi().await.unwrap();
    send.write_all(&bytes_of(&RegisterRequest { token: None, ticket: None })).await.unwrap();
    let reply = read_frame(&mut recv).await;
    let reply: RegisterReply = Frame::split(&mut &reply[..]).unwrap().decode().unwrap();
    (reply.slot, (send, recv))
}

/// Opens many streams, sends `request` on each and floods it. Returns the codes with which the relay stopped them.
async fn flood_streams(relay: SocketAddr, grants: Grants, request: Vec<u8>) -> Vec<Option<u32>> {
    const CONNECTIONS: usize = 4;
    const STREAMS: usize = 16;
    let mut floods = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = connect(relay, grants).await;
        for _ in 0..STREAMS {
            let (connection, request) = (connection.clone(), request.clone());
            floods.spawn(async move {
                let (mut send, _recv) = connection.open_bi().await.unwrap();
                if send.write_all(&request).await.is_err() {
                    return None;
                }
                let stopped = timeout(ATTACK, flood(&mut send, FLOOD)).await.ok().flatten();
                stopped.map(|code| u32::try_from(code.into_inner()).unwrap())
            });
        }
        connections.push(connection);
    }
    floods.join_all().await
}

/// Checks that an honest transfer through the relay succeeds.
async fn assert_serves(relay: SocketAddr) {
    let (machine, content) = (TestMachine::new(), random_bytes(5, 3_000_000));
    let path = machine.file("file", &content);
    let sender = machine.start_sender(relay, &[&path], &[]).await;
    machine.run_receiver(relay, sender.code()).await.assert_saved("file", &content, "an honest transfer");
}

#[track_caller]
fn assert_small(relay: &RelayProcess) {
    let peak = peak_memory(relay.process.id()).unwrap();
    assert!(peak <= MAX_MEMORY, "the relay used {peak} bytes");
}

/// The relay waits for the sender, and the receiver's streams fill meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_flood_streams_while_the_sender_accepts_none() {
    let (_env, relay, addr) = start_relay();
    let sender = connect(addr, NO_STREAMS).await;
    let (slot, _registration) = register(&sender).await;
    let request = bytes_of(&ConnectRequest { slot, token: None, pass: None });
    let (stopped, ()) = tokio::join!(flood_streams(addr, Grants::AMPLE, request), assert_serves(addr));
    assert!(stopped.iter().all(|code| *code == Some(PROTOCOL_ERROR)), "{stopped:?}");
    assert_small(&relay);
}

/// The relay cannot send its replies, and the streams fill meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_flood_streams_and_accept_no_reply() {
    let (_env, relay, addr) = start_relay();
    let (sender, receiver) = (connect(addr, Grants::AMPLE).await, Slot::from_number(1));
    let (slot, _registration) = register(&sender).await;
    for request in [
        bytes_of(&RegisterRequest { token: None, ticket: None }),
        bytes_of(&ConnectRequest { slot, token: None, pass: None }),
        bytes_of(&ConnectRequest { slot: receiver, token: None, pass: None }),
    ] {
        let (stopped, ()) = tokio::join!(flood_streams(addr, NO_WINDOW, request), assert_serves(addr));
        assert!(stopped.iter().all(|code| *code == Some(PROTOCOL_ERROR)), "{stopped:?}");
        assert_small(&relay);
    }
}

/// A stream that waits for a peer that grants nothing ends within the time limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_accept_no_reply_lose_their_streams() {
    let (_env, relay, addr) = start_relay();
    let connection = connect(addr, NO_WINDOW).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&bytes_of(&RegisterRequest { token: None, ticket: None })).await.unwrap();
        streams.push((send, recv));
    }
    for (send, _) in &mut streams {
        within("the end of a stream", send.stopped()).await.unwrap();
    }
    assert_serves(addr).await;
    drop(relay);
}
