//! The library, as another program uses it, and the examples.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use qshare::{
    ConflictPolicy, Download, DownloadEvent, ErrorKind, Offer, ReceiveOptions, Relay, RelayAddress, RelayOptions,
    Share, ShareEvent, ShareOptions,
};

use rustix::process::Signal;
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::support::{FileTree, TestEnv, write_random_file};

/// The size of a file whose transfer takes longer than a test takes to notice its beginning.
const BIG: u64 = 256 * 1024 * 1024;

fn relay() -> (Relay, RelayAddress) {
    let relay = RelayOptions::new(([127, 0, 0, 1], 0).into()).start().unwrap();
    let address = relay.addresses()[0].clone();
    (relay, address)
}

async fn share(options: ShareOptions, relay: &RelayAddress) -> Share {
    options.relay(relay.clone()).local_network(false).start().await.unwrap()
}

/// Shares, and then ends all tasks of the share as a crash does. Returns its code and its link.
async fn share_until_crash(options: ShareOptions, relay: RelayAddress) -> (String, String) {
    let crash = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let share = runtime.block_on(share(options, &relay));
        drop(runtime);
        (share.code(), share.link())
    };
    spawn_blocking(crash).await.unwrap()
}

/// Shares again until the share has its old code. A process that another test starts holds the lock of the old share
/// for a moment.
async fn share_again(options: &ShareOptions, relay: &RelayAddress, code: &str) -> Share {
    loop {
        let share = share(options.clone(), relay).await;
        if share.code() == code {
            return share;
        }
        share.stop().await.unwrap();
    }
}

async fn connect(share: &Share, into: &Path) -> Offer {
    ReceiveOptions::new(&share.link()).unwrap().save_to(into).connect().await.unwrap()
}

fn holiday(env: &TestEnv) -> PathBuf {
    env.file("holiday/a.txt", "a");
    env.file("holiday/deep/b.txt", "bb");
    env.path("holiday")
}

#[tokio::test]
async fn a_folder_is_shared_offered_and_downloaded() {
    let env = TestEnv::new();
    let (relay, address) = relay();
    let folder = holiday(&env);
    let mut share = share(ShareOptions::new([&folder]).name("Lisbon").max_downloads(1), &address).await;
    let into = env.folder("in");
    let offer = connect(&share, &into).await;
    assert_eq!((offer.name(), offer.files(), offer.bytes(), offer.is_text()), ("Lisbon", 2, Some(3), false));
    let paths: Vec<String> = offer.entries().map(|entry| entry.path).collect();
    assert_eq!(paths, ["Lisbon", "Lisbon/a.txt", "Lisbon/deep", "Lisbon/deep/b.txt"]);
    let saved = offer.download().finish().await.unwrap();
    assert_eq!((saved.paths, saved.files, saved.bytes), (vec![into.join("Lisbon")], 2, 3));
    assert_eq!(FileTree::of(&into.join("Lisbon")), FileTree::of(&folder));
    let mut events = Vec::new();
    while let Some(event) = share.next_event().await {
        events.push(event);
    }
    assert!(matches!(events.first(), Some(ShareEvent::Started(download)) if download.number == 1), "{events:?}");
    assert!(matches!(events.last(), Some(ShareEvent::Finished(download)) if download.bytes == 3), "{events:?}");
    share.finish().await.unwrap();
    relay.stop().await.unwrap();
}

#[tokio::test]
async fn the_program_and_the_library_understand_each_other() {
    let env = TestEnv::new();
    let file = env.file("notes.txt", "from the library");
    let share = ShareOptions::new([&file]).local_network(false).start().await.unwrap();
    let into = env.path("in");
    let received = env.recv(&share.link(), &into);
    let received = spawn_blocking(|| received.run()).await.unwrap();
    received.expect(0);
    assert_eq!(fs::read_to_string(into.join("notes.txt")).unwrap(), "from the library");
    share.stop().await.unwrap();

    let sender = env.send(&[&file]).share();
    let saved = ReceiveOptions::new(sender.link()).unwrap().save_to(env.folder("back")).connect().await.unwrap();
    assert_eq!(saved.download().finish().await.unwrap().paths, [env.path("back/notes.txt")]);
}

#[tokio::test]
async fn a_text_is_returned_and_not_saved() {
    let (_relay, address) = relay();
    let share = share(ShareOptions::text("See you at nine."), &address).await;
    let env = TestEnv::new();
    let offer = connect(&share, &env.folder("in")).await;
    assert!(offer.is_text());
    assert_eq!(offer.text().await.unwrap(), "See you at nine.");
    assert_eq!(fs::read_dir(env.path("in")).unwrap().count(), 0);
    assert!(!format!("{:?}", ShareOptions::text("a secret")).contains("secret"));
    let debug = format!("{share:?}");
    assert!(!debug.contains(&share.code()), "{debug}");
}

#[tokio::test]
async fn a_declined_offer_is_an_event_of_the_sender() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let mut share = share(ShareOptions::new([holiday(&env)]), &address).await;
    connect(&share, &env.folder("in")).await.decline().await;
    assert!(matches!(share.next_event().await, Some(ShareEvent::Declined(_))));
}

#[tokio::test]
async fn errors_can_be_told_apart() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let share = share(ShareOptions::new([holiday(&env)]), &address).await;
    assert_eq!(ReceiveOptions::new("no code").unwrap_err().kind(), ErrorKind::Usage);
    let receive = |code: &str| ReceiveOptions::new(code).unwrap().relay(address.clone()).local_network(false);
    let unknown = receive("XKY9-7HQ2ME").connect().await.err().unwrap();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    let missing = ShareOptions::new([env.path("missing")]).start().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Usage, "{missing}");
    assert!(missing.message().contains("missing"));
    env.file("in/holiday/a.txt", "other");
    let offer = connect(&share, &env.path("in")).await;
    let exists = offer.download().finish().await.unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::Disk, "{exists}");
    let offer = ReceiveOptions::new(&share.link()).unwrap().save_to(env.path("in"));
    let offer = offer.conflicts(ConflictPolicy::Rename).connect().await.unwrap();
    assert_eq!(offer.download().finish().await.unwrap().paths, [env.path("in/holiday (1)")]);
    let text = connect(&share, &env.path("in")).await.text().await.unwrap_err();
    assert_eq!(text.kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_dropped_download_is_interrupted_and_continues_later() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    write_random_file(&env.path("big"), BIG);
    let mut share = share(ShareOptions::new([env.path("big")]), &address).await;
    let into = env.folder("in");
    let mut download = connect(&share, &into).await.download();
    while let Some(event) = download.next_event().await {
        if matches!(event, DownloadEvent::Progress { bytes, .. } if bytes > 0) {
            break;
        }
    }
    drop(download);
    let failed = loop {
        match share.next_event().await.unwrap() {
            ShareEvent::Failed(_, e) => break e,
            ShareEvent::Finished(_) => panic!("the download ended before it was dropped"),
            _ => {}
        }
    };
    assert_eq!(failed.kind(), ErrorKind::Refused, "{failed}");
    assert!(!into.join("big").exists());
    let saved = connect(&share, &into).await.download().finish().await.unwrap();
    assert_eq!(saved.bytes, BIG);
    assert_eq!(FileTree::of(&into.join("big")), FileTree::of(&env.path("big")));
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1, "staged data is left over");
}

#[tokio::test]
async fn a_dropped_share_ends_and_its_code_is_invalid() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let first = share(ShareOptions::new([holiday(&env)]), &address).await;
    let receive = ReceiveOptions::new(&first.link()).unwrap();
    drop(first);
    // The end of the share is not announced to anyone: ask until the relay knows it.
    loop {
        match receive.clone().connect().await {
            Ok(offer) => offer.decline().await,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn many_paths_that_are_left_out_hold_nothing_up() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let folder = holiday(&env);
    for n in 0..7_000 {
        symlink("/outside", folder.join(format!("link {n}"))).unwrap();
    }
    let share = share(ShareOptions::new([&folder]).skip_unsendable(), &address).await;
    let offer = connect(&share, &env.folder("in")).await;
    assert_eq!(offer.download().finish().await.unwrap().files, 2);
}

#[tokio::test]
async fn a_stopped_download_has_released_its_folder() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    write_random_file(&env.path("big"), BIG);
    let share = share(ShareOptions::new([env.path("big")]), &address).await;
    let into = env.folder("in");
    let mut download = connect(&share, &into).await.download();
    assert!(download.next_event().await.is_some());
    download.stop().await.unwrap();
    assert_eq!(connect(&share, &into).await.download().finish().await.unwrap().bytes, BIG);
}

#[test]
fn handles_can_be_used_in_any_task() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<(Share, ShareOptions, ReceiveOptions, Download, Relay, qshare::Error)>();
    fn assert_send<T: Send>() {}
    assert_send::<Offer>();
}

#[tokio::test]
async fn unread_events_hold_nothing_up() {
    use std::{future::poll_fn, pin::Pin};

    use futures_core::Stream;

    let env = TestEnv::new();
    let (_relay, address) = relay();
    let file = env.file("small", "x");
    let mut share = share(ShareOptions::new([&file]).max_downloads(40), &address).await;
    for n in 0..40 {
        connect(&share, &env.folder(&format!("in{n}"))).await.download().finish().await.unwrap();
    }
    let mut finished = 0;
    while let Some(event) = poll_fn(|context| Pin::new(&mut share).poll_next(context)).await {
        finished += u32::from(matches!(event, ShareEvent::Finished(_)));
    }
    assert_eq!(finished, 40);
    share.finish().await.unwrap();
}

#[tokio::test]
async fn a_state_folder_restores_the_code() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let options = ShareOptions::new([holiday(&env)]).state_folder(env.path("state"));
    let (code, _) = share_until_crash(options.clone(), address.clone()).await;
    share_again(&options, &address, &code).await.stop().await.unwrap();
    assert_ne!(share(options, &address).await.code(), code, "a share that was stopped is over");
}

#[tokio::test]
async fn a_relay_with_a_state_folder_keeps_its_key() {
    let env = TestEnv::new();
    let folder = env.folder("relay");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let mut pins = Vec::new();
    for _ in 0..2 {
        let relay = RelayOptions::new(([127, 0, 0, 1], 0).into()).state_folder(&folder).start().unwrap();
        let address = relay.addresses()[0].to_string();
        assert!(address.starts_with(&format!("{}#", relay.local_addr())), "{address}");
        pins.push(address.split_once('#').unwrap().1.to_owned());
        relay.stop().await.unwrap();
    }
    assert_eq!(pins[0], pins[1]);
}

#[tokio::test]
async fn a_receiver_waits_for_its_sender() {
    let env = TestEnv::new();
    let (_relay, address) = relay();
    let options = ShareOptions::new([holiday(&env)]).state_folder(env.path("state"));
    let (code, link) = share_until_crash(options.clone(), address.clone()).await;
    let receive = ReceiveOptions::new(&link).unwrap().save_to(env.folder("in")).wait(Duration::from_secs(60));
    let received = tokio::spawn(async move { receive.connect().await?.download().finish().await });
    let _second = share_again(&options, &address, &code).await;
    assert_eq!(received.await.unwrap().unwrap().files, 2);
}

#[test]
fn the_examples_send_receive_and_relay() {
    let env = TestEnv::new();
    let file = env.file("notes.txt", "from an example");
    let sender = env.example("send", &[file.to_str().unwrap()]).start();
    let link = |lines: Vec<String>| lines[0].split('"').nth(1).unwrap().to_owned();
    let link = link(sender.wait_for_lines(1));
    let into = env.folder("in");
    let received = env.example("download", &[&link]).dir(&into).run().expect(0).text();
    assert!(received.contains("1 files in \"notes.txt\"") && received.contains("Saved"), "{received}");
    assert_eq!(fs::read_to_string(into.join("notes.txt")).unwrap(), "from an example");
    let done = sender.wait_for_lines(2);
    assert_eq!(done[1], "receiver 1 has it");
    sender.signal(Signal::INT);
    sender.end().expect(0);
    env.example("download", &[&link]).dir(&into).run().expect(1);

    let relay = env.example("relay", &["a text"]).start();
    let command = relay.wait_for_lines(1).remove(0);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(env.qshare(&words).run().expect(0).text(), "a text");
    relay.end().expect(0);
}
