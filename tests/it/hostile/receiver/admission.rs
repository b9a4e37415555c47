//! Peers without a code that try to keep honest receivers out, or to make the sender work.

use bytes::Bytes;
use qshare::internals::{
    crypto::AttachKey,
    net::StreamError,
    transfer::handshake::Credential,
    wire::{
        Frame,
        peer::{Alert, AlertReason, AttachReply, AttachRequest, Confirm, Hello, PakeMessage, SUITES},
        reset_code::UNCONFIRMED,
    },
};

use super::attacked_share::{Attack, AttackedShare, Reaction, flight_1, forged_resumption, read_grant};
use crate::{hostile::processes::within, support::bytes_of};

/// Two sites keep 600 streams open each, every one from another network, and an honest receiver connects from a third
/// site. A sender accepts 1,024 streams at the same time, so it must end those of the attackers.
async fn assert_served_under_pressure(test: &AttackedShare, attacks: &[Attack; 2], what: &str) {
    for attack in attacks {
        attack.wait_for(500).await;
    }
    test.assert_served(what).await;
    for attack in attacks {
        attack.wait_for(1_500).await;
    }
    test.assert_served(what).await;
    test.assert_memory(what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_streams_keep_nobody_out() {
    let mut test = AttackedShare::new().await;
    for beginning in [&[][..], &[0x31], &[0x31, 0, 0, 1]] {
        let attacks = [1, 2].map(|source| test.press(source, 600, || Bytes::from_static(beginning)));
        assert_served_under_pressure(&test, &attacks, "silent streams").await;
    }
    let warning = test.sender.wait_for("warning").await;
    assert_eq!(warning["kind"], "attempts", "{warning}");
    assert!(warning["message"].as_str().unwrap().contains("without a valid code"), "{warning}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_and_forged_ids_keep_nobody_out() {
    let test = AttackedShare::new().await;
    let wrong = flight_1(Credential::Code(&test.wrong_code()));
    let slot = test.code().slot();
    let forged = flight_1(Credential::Resumption { slot, resumption: &forged_resumption() });
    let mut session = test.establish(3, Credential::Code(&test.code())).await;
    let resumption = read_grant(&mut session).await;
    for (flight, what) in [(wrong, "guesses"), (forged, "forged resume ids")] {
        let attacks = [1, 2].map(|source| {
            let flight = flight.clone();
            test.press(source, 600, move || flight.clone())
        });
        assert_served_under_pressure(&test, &attacks, what).await;
        reattach(&test, &session.attach_key, what).await;
        // Even from a site of the attackers.
        drop(test.establish(1, Credential::Resumption { slot, resumption: &resumption }).await);
        session = test.establish(4, Credential::Resumption { slot, resumption: &resumption }).await;
    }
}

/// Attaches the session to a stream from a site of the attackers.
async fn reattach(test: &AttackedShare, key: &AttachKey, what: &str) {
    let (number, received) = (1, 0);
    let tag = key.request_tag(number, received);
    let request = AttachRequest { id: key.id(), number, received, tag };
    let (_send, mut recv) = test.send(1, bytes_of(&request).into()).await;
    let reply = within("the reply", recv.read_frame(4096)).await.unwrap();
    reply.frame().decode::<AttachReply>().unwrap_or_else(|e| panic!("{what}: {e}"));
}

/// Returns first flights that must cause no work, each with the reason of the sender's alert.
fn worthless_flights(test: &AttackedShare) -> Vec<(Bytes, AlertReason)> {
    let (code, wrong) = (test.code(), test.wrong_code());
    let valid = flight_1(Credential::Code(&wrong));
    let hello: Hello = Frame::split(&mut &valid[..]).unwrap().decode().unwrap();
    let edited = |change: fn(&mut Hello)| {
        let mut hello = hello.clone();
        change(&mut hello);
        Bytes::from(bytes_of(&hello))
    };
    let forged = forged_resumption();
    vec![
        (Bytes::from_static(&[0x31, 0, 0, 0, 3, 0xff, 0xff, 0xff]), AlertReason::Malformed),
        (Bytes::from_static(&[0x7f, 0, 0, 0, 0]), AlertReason::Malformed),
        (edited(|hello| hello.version = 2), AlertReason::Version),
        (edited(|hello| hello.suites = vec![900]), AlertReason::Suite),
        (edited(|hello| hello.exchanges.clear()), AlertReason::Malformed),
        (
            edited(|hello| hello.exchanges = SUITES.map(|suite| invalid_point(suite, 0xff)).to_vec()),
            AlertReason::Malformed,
        ),
        (
            edited(|hello| hello.exchanges = SUITES.map(|suite| invalid_point(suite, 0)).to_vec()),
            AlertReason::Malformed,
        ),
        (edited(|hello| hello.exchanges[0].message[0] = b'B'), AlertReason::Malformed),
        (flight_1(Credential::Resumption { slot: code.slot(), resumption: &forged }), AlertReason::UnknownSession),
    ]
}

fn invalid_point(suite: u16, byte: u8) -> PakeMessage {
    PakeMessage { suite, message: [&b"A"[..], &[byte; 32]].concat() }
}

/// A scan of a file that is gone would be reported as a warning of kind `source`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worthless_first_flight_causes_neither_a_scan_nor_a_write() {
    let mut test = AttackedShare::new().await;
    std::fs::remove_file(test.machine.root().join("shared/400kB.bin")).unwrap();
    let before = test.machine.state_files();
    for (flight, expected) in worthless_flights(&test) {
        match test.react(1, flight).await {
            Reaction::Refused(Alert { reason, .. }) => assert_eq!(reason, expected),
            Reaction::Answered(_) => panic!("answered in place of {expected:?}"),
            Reaction::Ended(e) => panic!("{e} in place of {expected:?}"),
        }
    }
    assert_eq!(test.machine.state_files(), before);
    // Two guesses are charged and scan; those behind them find no attempt.
    let guesses = [test.guess(1).await, test.guess(1).await];
    assert!(guesses.iter().all(Option::is_some));
    let charged = test.machine.state_files();
    let attack = {
        let flight = flight_1(Credential::Code(&test.wrong_code()));
        test.press(1, 50, move || flight.clone())
    };
    attack.wait_for(50).await;
    drop(guesses);
    attack.wait_for(5_000).await;
    drop(attack);
    let writes = test.machine.state_files().difference(&charged).count();
    assert!(writes <= 1, "{writes} files have changed");
    drop(test.guess(2).await.unwrap());
    let mut warnings = Vec::new();
    for _ in 0..3 {
        warnings.push(test.sender.first_of(&["warning", "wrong_code"]).await);
    }
    let kind_count = |kind: &str| warnings.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!(kind_count("source"), 1, "{warnings:?}");
}

/// The sender's memory stays flat if peers fill their windows while they wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_behind_the_first_flight_end_the_stream() {
    let test = AttackedShare::new().await;
    let guesses = [test.guess(1).await.unwrap(), test.guess(1).await.unwrap()];
    let flight = flight_1(Credential::Code(&test.wrong_code()));
    for _ in 0..100 {
        let (mut send, mut recv) = test.send(1, [&flight[..], &[0; 1 << 20]].concat().into()).await;
        let ended = within("the end of the stream", recv.read()).await;
        assert!(matches!(ended, Err(StreamError::Aborted(_))), "{ended:?}");
        send.reset(1);
    }
    test.assert_memory("bytes out of turn");
    drop(guesses);
    test.assert_served("bytes out of turn").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unconfirmed_session_ends_with_its_own_reset_code() {
    let test = AttackedShare::new().await;
    let (mut send, mut recv) = test.guess(1).await.unwrap();
    send.write(bytes_of(&Confirm { tag: [0; 32] }).into()).await.unwrap();
    let ended = within("the end", async {
        loop {
            match recv.read().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    });
    assert_eq!(ended.await, Err(StreamError::Aborted(UNCONFIRMED)));
}
