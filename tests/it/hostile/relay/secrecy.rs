//! What a relay can learn from the bytes that it is sent.

use std::path::Path;

use crate::hostile::{hostile_relay::HostileRelay, processes::TestMachine};

/// The relay gets the slot and sealed bytes. Neither a name nor content nor the secret nor what could be worked out of
/// it with a guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_learns_nothing_from_all_it_is_sent() {
    let (machine, relay) = (TestMachine::new(), HostileRelay::start());
    let content = "A SENTENCE THAT NOBODY ELSE MAY READ. ".repeat(10_000);
    machine.file("a-folder-with-a-name/a-name-nobody-may-know.txt", content.as_bytes());
    let folder = machine.root().join("shared/a-folder-with-a-name");
    let mut sender = machine.sender(relay.addr(), &[Path::new(&folder)], &["--name", "a title of its own"]).await;
    let run = machine.recv(relay.addr(), sender.code()).await;
    assert_eq!(run.exit, Some(0), "{}{}", run.stdout, run.stderr);
    sender.event("download_finished").await;

    let log = relay.log();
    let says = |part: &[u8]| log.windows(part.len()).any(|window| window == part);
    assert!(log.len() > content.len(), "the relay saw {} bytes only", log.len());
    assert!(says(&sender.code().as_bytes()[..4]), "not even the slot: this test looks at the wrong bytes");
    let secret = sender.secret();
    let code = sender.code().as_bytes().to_vec();
    for hidden in [
        &b"a-folder-with-a-name"[..],
        b"a-name-nobody-may-know",
        b"a title of its own",
        b"NOBODY",
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
        assert!(!says(hidden), "the relay was told {:?}", String::from_utf8_lossy(hidden));
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}
