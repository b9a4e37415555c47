//! Received files equal the sent ones: contents, names, permissions, times and links.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{FileTree, Process, TestEnv, hash_file, peak_memory, write_random_file};

/// The most memory that a process may use, whatever the size of the transfer.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;

/// A relay and a sender need a socket and a few files for each peer, and macOS allows only 256 unless a process asks.
#[cfg(target_os = "linux")]
#[test]
fn the_soft_limit_on_open_files_is_raised() {
    let env = TestEnv::new();
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "ulimit -S -n 64 && exec \"$0\" relay --json --listen 127.0.0.1:0",
        env!("CARGO_BIN_EXE_qshare"),
    ]);
    command
        .env("HOME", env.path("home"))
        .env("XDG_STATE_HOME", env.path("home/state"))
        .stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut relay = Process::watch("relay".to_owned(), child, stderr);
    relay.wait_for("relay_listening");
    let limits = fs::read_to_string(format!("/proc/{}/limits", relay.id())).unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let soft: u64 = soft.split_whitespace().next().unwrap().parse().unwrap();
    assert!(soft > 64, "{limits}");
}

#[test]
fn empty_and_tiny_files_arrive_unchanged() {
    let env = TestEnv::new();
    let relay = env.relay();
    for content in [&b""[..], b"x"] {
        let file = env.file("small", content);
        let sender = env.send(&[&file]).via(&relay).arg("--once").share();
        let into = env.path(&format!("in{}", content.len()));
        let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("small")), FileTree::of(&file));
        assert_eq!(received.event("finished")["bytes"], content.len());
        let sent = sender.process.end().expect(0);
        assert_eq!(sent.event("stopped")["reason"], "once");
        assert_eq!(sent.event("download_finished")["bytes"], content.len());
    }
}

#[test]
fn a_large_file_arrives_in_less_than_64_mib_of_memory() {
    const SIZE: u64 = 300 * 1024 * 1024;
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.path("large");
    write_random_file(&file, SIZE);
    let mut sender = env.send(&[&file]).via(&relay).share();
    let into = env.path("in");
    let mut receiver = env.recv(sender.code(), &into).via(&relay).start();
    let mut peak = 0;
    while receiver.wait_for("progress")["bytes"] != SIZE {
        peak = peak.max(peak_memory(receiver.id()).unwrap_or_default());
    }
    receiver.end().expect(0);
    assert_eq!(hash_file(&into.join("large")), hash_file(&file));
    sender.process.wait_for("download_finished");
    assert!(peak < MAX_MEMORY, "the receiver used {peak} bytes");
    for (name, process) in [("relay", &relay.process), ("sender", &sender.process)] {
        let peak = peak_memory(process.id()).unwrap_or_default();
        assert!(peak < MAX_MEMORY, "the {name} used {peak} bytes");
    }
}

#[test]
fn rate_limits_bound_the_transfer() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.path("file");
    write_random_file(&file, 3_000_000);
    let mut sender = env.send(&[&file]).via(&relay).share();
    let taken = |into: &str, limit: &[&str]| {
        let into = env.path(into);
        let mut receiver = env.recv(sender.code(), &into).via(&relay);
        for word in limit {
            receiver = receiver.arg(word);
        }
        let received = receiver.run().expect(0);
        assert_eq!(hash_file(&into.join("file")), hash_file(&file));
        received.event("finished")["seconds"].as_f64().unwrap()
    };
    // The limiter lets the first burst pass at once, and does not wait after the last one.
    let limited = taken("slow", &["--limit-down", "1.5MB"]);
    assert!(limited >= 1.0, "{limited}");
    taken("cubic", &["--congestion", "cubic"]);
    sender.process.wait_for("download_finished");
    let sender = env.send(&[&file]).via(&relay).arg("--once").arg("--limit-up").arg("1500 kB").share();
    let into = env.path("up");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(hash_file(&into.join("file")), hash_file(&file));
    let limited = received.event("finished")["seconds"].as_f64().unwrap();
    assert!(limited >= 1.5, "{limited}");
}

#[test]
fn a_folder_of_two_thousand_files_arrives_unchanged() {
    let env = TestEnv::new();
    let relay = env.relay();
    let folder = env.folder("tree");
    for n in 0..2_000 {
        let file = env.file(&format!("tree/{}/{}/file {n}.txt", n % 7, n % 31), n.to_string().repeat(n % 50));
        if n % 10 == 0 {
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        File::options().write(true).open(&file).unwrap().set_modified(past_time(n as u64)).unwrap();
    }
    env.folder("tree/empty/emptier");
    env.folder("tree/3/hollow");
    File::open(env.path("tree/empty")).unwrap().set_modified(past_time(5)).unwrap();
    let sender = env.send(&[&folder]).via(&relay).share();
    assert_eq!(sender.sharing["files"], 2_000);
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["files"], 2_000);
    let arrived = FileTree::of(&into.join("tree"));
    assert!(arrived.len() > 2_000);
    assert_eq!(arrived, FileTree::of(&folder));
}

/// Returns a time in the past that has nanoseconds.
fn past_time(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + n * 1_000, 123_456_789)
}

#[test]
fn unusual_names_arrive_unchanged() {
    let env = TestEnv::new();
    let mut names = vec![
        "aux.c".to_owned(),
        "xt_connmark.h".into(),
        "1700000000.M20P3.host,U=1,W=2:2,FS".into(),
        "12:30.png".into(),
        "👩\u{200d}👩\u{200d}👧\u{200d}👦 🏴\u{200d}☠\u{fe0f}.jpg".into(),
        "می\u{200c}خواهم.txt".into(),
        "文件".into(),
        "Ünïcödé".into(),
        " blank before and after ".into(),
        "dot at the end.".into(),
        "back\\slash".into(),
        "'quotes\" and $(words)".into(),
        "-rf".into(),
        ".hidden".into(),
        "x".repeat(255),
    ];
    if cfg!(target_os = "linux") {
        names.extend(["xt_CONNMARK.h".into(), "caf\u{e9}".into(), "cafe\u{301}".into()]);
    }
    for name in &names {
        env.file(&format!("names/{name}"), name);
        env.file(&format!("names/in a folder/{name}/{name}"), name);
    }
    let deep = (0..60).map(|_| "d").collect::<Vec<_>>().join("/");
    env.file(&format!("names/{deep}/bottom"), "deep");
    let folder = env.path("names");
    let relay = env.relay();
    let sender = env.send(&[&folder]).via(&relay).share();
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["saved"][0], "names");
    assert_eq!(FileTree::of(&into.join("names")), FileTree::of(&folder));
}

#[test]
fn links_within_a_share_arrive_and_links_out_of_it_are_skipped() {
    let env = TestEnv::new();
    env.file("outside", "secret");
    env.file("tree/folder/file", "content");
    let folder = env.path("tree");
    for (target, at) in [("folder/file", "to-file"), ("folder", "to-folder"), ("nowhere", "dangling")] {
        symlink(target, folder.join(at)).unwrap();
    }
    symlink("../to-file", folder.join("folder/up-and-down")).unwrap();
    let left_out = ["out", "absolute", "pipe"];
    symlink("../outside", folder.join("out")).unwrap();
    symlink(env.path("outside"), folder.join("absolute")).unwrap();
    mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let relay = env.relay();
    let sender = env.send(&[&folder]).via(&relay).share();
    let warnings: Vec<_> = sender.process.events().into_iter().filter(|e| e["event"] == "warning").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for name in left_out {
        let message = warnings[0]["message"].as_str().unwrap();
        assert!(message.contains(&format!("tree/{name}: ")), "{name}: {message}");
    }
    let into = env.path("in");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    let expected = left_out.iter().fold(FileTree::of(&folder), |tree, name| tree.without(name));
    assert_eq!(FileTree::of(&into.join("tree")), expected);
}

#[test]
fn a_link_given_on_the_command_line_is_followed() {
    let env = TestEnv::new();
    env.file("real/file", "content");
    symlink("real", env.path("alias")).unwrap();
    let relay = env.relay();
    let sender = env.send(&[&env.path("alias")]).via(&relay).share();
    let into = env.path("in");
    env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(FileTree::of(&into.join("alias")), FileTree::of(&env.path("real")));
}

#[test]
fn several_paths_arrive_side_by_side() {
    let env = TestEnv::new();
    let paths = [env.file("a/one", "1"), env.file("b/two", "2"), env.folder("c/three")];
    env.file("c/three/four", "4");
    let relay = env.relay();
    let sender = env.send(&paths.each_ref().map(|p| p.as_path())).via(&relay).share();
    assert_eq!(sender.sharing["name"], "one and 2 more");
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["saved"], serde_json::json!(["one", "two", "three"]));
    for path in &paths {
        assert_eq!(FileTree::of(&into.join(path.file_name().unwrap())), FileTree::of(path));
    }
}

#[test]
fn a_folder_is_shared_under_its_own_name_however_its_path_is_written() {
    let env = TestEnv::new();
    env.file("box/file", "content");
    env.folder("box/inner");
    let folder = env.path("box");
    let relay = env.relay();
    for (n, (path, at)) in [(".", "box"), ("box/", ""), ("./box/.", ""), ("..", "box/inner")].into_iter().enumerate() {
        let sender = env.send(&[Path::new(path)]).dir(&env.path(at)).via(&relay).share();
        assert_eq!(sender.sharing["name"], "box", "{path}");
        let into = env.path(&format!("in{n}"));
        env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(FileTree::of(&into.join("box")), FileTree::of(&folder), "{path}");
    }
}
