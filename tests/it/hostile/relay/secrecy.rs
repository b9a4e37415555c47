//! What a relay can learn from the bytes that it receives.

use std::path::Path;

use crate::hostile::{hostile_relay::HostileRelay, processes::TestMachine};

/// The relay receives the slot and sealed records. It receives no names, no content, no secret, and nothing that allows
/// it to test a guess of the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_receives_no_names_no_content_and_no_secret() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let content = "A CONFIDENTIAL SENTENCE. ".repeat(15_000);
    machine.file("a-folder-with-a-name/a-confidential-name.txt", content.as_bytes());
    let folder = machine.root().join("shared/a-folder-with-a-name");
    let mut sender = machine.start_sender(relay.addr(), &[Path::new(&folder)], &["--name", "a title of its own"]).await;
    let run = machine.run_receiver(relay.addr(), sender.code()).await;
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    sender.wait_for("download_finished").await;

    let log = relay.log();
    let received = |part: &[u8]| log.windows(part.len()).any(|window| window == part);
    assert!(log.len() > content.len(), "the relay received only {} bytes", log.len());
    assert!(received(&sender.code().as_bytes()[..4]), "the slot is missing: this test looks at the wrong bytes");
    let secret = sender.secret();
    let code = sender.code().as_bytes().to_vec();
    for hidden in [
        &b"a-folder-with-a-name"[..],
        b"a-confidential-name",
        b"a title of its own",
        b"CONFIDENTIAL",
        machine.root().to_str().unwrap().as_bytes(),
        &secret,
        &code,
        &code[5..],
        secret.to_ascii_lowercase().as_slice(),
        blake3::hash(&secret).as_bytes(),
        blake3::hash(&code).as_bytes(),
        blake3::hash(content.as_bytes()).as_bytes(),
        &sha256(&secret),
        &sha256(&code),
    ] {
        assert!(!received(hidden), "the relay received {:?}", String::from_utf8_lossy(hidden));
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}
