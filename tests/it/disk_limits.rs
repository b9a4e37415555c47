//! What the receiver's disk cannot hold: it is reported before the first byte, and `--skip-unsupported` takes the rest.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom},
    path::Path,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{BIG, RelayProcess, SenderProcess, TestEnv, entry_names, write_sparse_file};

/// The length of a file that most disks cannot hold, and a file system in memory can.
const HUGE: u64 = 1 << 62;

/// A sender that shares `d` with a small file and a sparse one that the receiver's disk cannot hold.
struct LimitTest {
    env: TestEnv,
    relay: RelayProcess,
    sender: SenderProcess,
    _memory: TempDir,
}

impl LimitTest {
    /// Returns `None` if there is no file system in memory, or the disk can hold the file.
    fn new() -> Option<Self> {
        let memory = tempfile::tempdir_in("/dev/shm").ok()?;
        let env = TestEnv::new();
        let mut probe = File::create(env.path("probe")).unwrap();
        if probe.seek(SeekFrom::Start(HUGE)).is_ok() || !can_create(&memory.path().join("probe")) {
            return None;
        }
        fs::create_dir(memory.path().join("d")).unwrap();
        write_sparse_file(&memory.path().join("d/huge"), HUGE);
        fs::write(memory.path().join("d/small"), "small").unwrap();
        let relay = env.relay();
        let sender = env.send(&[&memory.path().join("d")]).via(&relay).share();
        Some(Self { env, relay, sender, _memory: memory })
    }
}

fn can_create(path: &Path) -> bool {
    File::create(path).and_then(|file| file.set_len(HUGE)).and_then(|()| fs::remove_file(path)).is_ok()
}

#[test]
fn limits_end_the_download_before_its_first_byte_unless_the_rest_is_wanted() {
    let Some(test) = LimitTest::new() else { return };
    let LimitTest { env, relay, sender, .. } = &test;
    let recv = |args: &[&str]| env.recv(sender.code(), &env.path("in")).via(relay).args(args).run();
    let refused = recv(&[]);
    let message = refused.expect_error(6, "disk", "1 file that is larger than the disk allows (d/huge)");
    assert!(message.contains("--skip-unsupported"), "{message}");
    let limits = json!([{
        "limit": "file_size",
        "description": "file that is larger than the disk allows",
        "entries": 1,
        "paths": ["d/huge"]
    }]);
    assert_eq!((&refused.event("offer")["unsupported"], &refused.event("offer")["limits"]), (&json!(1), &limits));
    assert!(entry_names(&env.path("in")).is_empty());
    let rest = recv(&["--skip-unsupported"]).expect(0);
    let listed: Value = rest.event("unsupported")["entries"].clone();
    assert_eq!(listed, json!([{ "path": "d/huge", "limit": "file_size" }]));
    assert_eq!((&rest.event("finished")["files"], &rest.event("finished")["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(entry_names(&env.path("in/d")), ["small"]);
}

#[test]
fn at_a_terminal_the_question_offers_the_rest() {
    let Some(test) = LimitTest::new() else { return };
    let LimitTest { env, relay, sender, .. } = &test;
    let (process, mut keyboard) =
        env.qshare(&["recv", sender.code()]).via(relay).dir(&env.folder("in")).start_at_a_terminal();
    process.wait_for_message("Download the rest? [y/n]");
    assert!(process.messages().contains("cannot be saved: 1 file that is larger"), "{}", process.messages());
    keyboard.line("y");
    assert_eq!(process.end().code, Some(0));
    assert_eq!(entry_names(&env.path("in/d")), ["small"]);
}

#[test]
fn two_downloads_to_two_names_run_beside_each_other() {
    let env = TestEnv::new();
    write_sparse_file(&env.path("big"), BIG);
    let relay = env.relay();
    let mut sender = env.send(&[&env.path("big")]).via(&relay).share();
    let paused = env.recv_and_pause(&mut sender, &relay, &env.path("in"));
    env.recv(sender.code(), &env.path("in")).via(&relay).args(&["--out", "other"]).run().expect(0);
    let e = env.recv(sender.code(), &env.path("in")).via(&relay).run().expect_error(6, "disk", "already downloading");
    assert!(e.contains(env.path("in").to_str().unwrap()), "{e}");
    paused.kill();
    assert_eq!(fs::metadata(env.path("in/other")).unwrap().len(), BIG);
}
