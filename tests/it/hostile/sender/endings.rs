//! The end of a session: failures, and ends that come too early or never.

use qshare::{
    transfer::session::RecordBuilder,
    wire::peer::{Failure, FailureReason},
};

use crate::{hostile::processes::tree, support::UnknownFrame};

use super::harness::{HostileSender, ReceiverMessage, content, file, offer, offer_of, requested, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_that_never_comes_is_not_waited_for() {
    let sender = HostileSender::new().await;
    let acting = async {
        let mut session = sender.meet(offer(vec![file("a", 5)])).await;
        requested(&mut session).await;
        session.writer.send(content(0, b"12345")).await.unwrap();
        while said(&mut session).await.is_some_and(|said| !matches!(said, ReceiverMessage::Done(_))) {}
        session // held open, and silent
    };
    let (run, _session) = sender.against(acting).await;
    run.assert_saved("a", b"12345", "no acknowledgement");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_says_of_its_failure_cannot_touch_the_terminal() {
    let sender = HostileSender::new().await;
    let nasty = format!("\x1b[2J\x1b]0;owned\x07\r\u{202e}{}", "x".repeat(50_000));
    let code = sender.code.reveal();
    for early in [true, false] {
        for options in [&["--yes"][..], &["--yes", "--json"]] {
            let failure = Failure { reason: FailureReason::Source, message: nasty.clone() };
            let acting = async {
                let first = if early { RecordBuilder::new() } else { offer(vec![file("a", 5)]) };
                let mut session = sender.meet(first).await;
                if !early {
                    requested(&mut session).await;
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
            assert!(shown.len() < 5_000, "{} bytes of a message", shown.len());
            assert_eq!(tree(&run.target), Vec::<std::path::PathBuf>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_before_the_end_is_a_cut() {
    let sender = HostileSender::new().await;
    let harmless = || RecordBuilder::from_message(&UnknownFrame::<0xef>(1)).unwrap();
    for (what, in_manifest, with_finish) in [
        ("the last record in the manifest", true, true),
        ("the last record and a reset in the manifest", true, false),
        ("the last record in the content", false, true),
        ("the last record and a reset in the content", false, false),
    ] {
        let acting = async {
            let first = if in_manifest { offer_of(2, vec![file("a", 5)]) } else { offer(vec![file("a", 5)]) };
            let mut session = sender.meet(first).await;
            if !in_manifest {
                requested(&mut session).await;
            }
            if with_finish {
                session.writer.close(harmless()).unwrap().deliver().await;
            } else {
                drop(session.writer); // resets what was written
            }
            while let Ok(Some(_)) = session.reader.read_record(&mut session.opener).await {}
        };
        let (run, ()) = sender.against(acting).await;
        run.assert_failed(5, what);
    }
}

/// A failure is the sender's last word; whoever then holds the stream open does not hold the receiver.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_final_though_the_stream_stays_open() {
    let sender = HostileSender::new().await;
    let acting = async {
        let mut session = sender.meet(offer(vec![file("a", 5)])).await;
        requested(&mut session).await;
        let failure = Failure { reason: FailureReason::DownloadLimitReached, message: "full".into() };
        session.writer.send(RecordBuilder::from_message(&failure).unwrap()).await.unwrap();
        while said(&mut session).await.is_some() {}
    };
    let (run, ()) = sender.against(acting).await;
    run.assert_failed(7, "a failure");
    assert!(run.took < std::time::Duration::from_secs(20), "{:?}", run.took);
}
