//! The end of a session: failures, and ends that come too early or never.

use qshare::internals::{
    transfer::session::RecordBuilder,
    wire::peer::{Failure, FailureReason},
};

use super::harness::{
    HostileSender, ReceivedMessage, file_entry, file_record, manifest, manifest_announcing, next_message,
    wait_for_request,
};
use crate::{hostile::processes::tree, support::UnknownFrame};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_does_not_wait_for_ever_for_the_final_acknowledgement() {
    let sender = HostileSender::new().await;
    let acting = async {
        let mut session = sender.accept_receiver(manifest(vec![file_entry("a", 5)])).await;
        wait_for_request(&mut session).await;
        session.writer.send(file_record(0, b"12345")).await.unwrap();
        while next_message(&mut session).await.is_some_and(|message| !matches!(message, ReceivedMessage::Done(_))) {}
        session // stays open and sends nothing
    };
    let (run, _session) = sender.run_receiver_against(acting).await;
    run.assert_saved("a", b"12345", "no acknowledgement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_characters_in_a_failure_message_do_not_reach_the_terminal() {
    let sender = HostileSender::new().await;
    let hostile = format!("\x1b[2J\x1b]0;owned\x07\r\u{202e}{}", "x".repeat(50_000));
    let code = sender.code.reveal();
    for early in [true, false] {
        for options in [&["--yes"][..], &["--yes", "--json"]] {
            let failure = Failure { reason: FailureReason::Source, message: hostile.clone() };
            let acting = async {
                let first = if early { RecordBuilder::new() } else { manifest(vec![file_entry("a", 5)]) };
                let mut session = sender.accept_receiver(first).await;
                if !early {
                    wait_for_request(&mut session).await;
                }
                session.writer.close(RecordBuilder::from_message(&failure).unwrap()).unwrap().deliver().await;
            };
            let target = sender.machine.target();
            let downloading = sender.machine.run_receiver_with(sender.relay.addr(), code.as_str(), target, options);
            let (run, ()) = tokio::join!(downloading, acting);
            assert_eq!(run.exit, Some(1), "{}{}", run.stdout, run.stderr);
            let shown = format!("{}{}", run.stdout, run.stderr);
            assert!(shown.contains("u{1b}[2J"), "the message is not shown: {shown}");
            assert!(!shown.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{shown:?}");
            assert!(shown.len() < 5_000, "the output has {} bytes", shown.len());
            assert_eq!(tree(&run.target), Vec::<std::path::PathBuf>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_record_that_comes_too_early_is_a_network_error() {
    let sender = HostileSender::new().await;
    let harmless = || RecordBuilder::from_message(&UnknownFrame::<0xef>(1)).unwrap();
    for (what, in_manifest, with_finish) in [
        ("the last record in the manifest", true, true),
        ("the last record and a reset in the manifest", true, false),
        ("the last record in the content", false, true),
        ("the last record and a reset in the content", false, false),
    ] {
        let acting = async {
            let first = if in_manifest {
                manifest_announcing(2, vec![file_entry("a", 5)])
            } else {
                manifest(vec![file_entry("a", 5)])
            };
            let mut session = sender.accept_receiver(first).await;
            if !in_manifest {
                wait_for_request(&mut session).await;
            }
            if with_finish {
                session.writer.close(harmless()).unwrap().deliver().await;
            } else {
                drop(session.writer); // resets the stream
            }
            while let Ok(Some(_)) = session.reader.read_record(&mut session.opener).await {}
        };
        let (run, ()) = sender.run_receiver_against(acting).await;
        run.assert_failed(5, what);
    }
}

/// The receiver does not wait for the end of the stream after a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_ends_the_receiver_even_if_the_stream_stays_open() {
    let sender = HostileSender::new().await;
    let acting = async {
        let mut session = sender.accept_receiver(manifest(vec![file_entry("a", 5)])).await;
        wait_for_request(&mut session).await;
        let failure = Failure { reason: FailureReason::DownloadLimitReached, message: "full".into() };
        session.writer.send(RecordBuilder::from_message(&failure).unwrap()).await.unwrap();
        while next_message(&mut session).await.is_some() {}
    };
    let (run, ()) = sender.run_receiver_against(acting).await;
    run.assert_failed(7, "a failure");
    assert!(run.took < std::time::Duration::from_secs(20), "{:?}", run.took);
}
