//! What arrives is what was sent.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Tree, World, hash, noise, peak_memory};

/// What a process may use, however much it transfers.
const MEMORY: u64 = 64 * 1024 * 1024;

#[test]
fn small_files_arrive_as_they_were() {
    let world = World::new();
    let relay = world.relay();
    for content in [&b""[..], b"x"] {
        let file = world.file("small", content);
        let sender = world.send(&[&file]).via(&relay).arg("--once").share();
        let into = world.path(&format!("in{}", content.len()));
        let received = world.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(Tree::of(&into.join("small")), Tree::of(&file));
        assert_eq!(received.event("finished")["bytes"], content.len());
        let sent = sender.process.end().expect(0);
        assert_eq!(sent.event("stopped")["reason"], "once");
        assert_eq!(sent.event("download_finished")["bytes"], content.len());
    }
}

#[test]
fn a_large_file_arrives_in_little_memory() {
    const SIZE: u64 = 300 * 1024 * 1024;
    let world = World::new();
    let relay = world.relay();
    let file = world.path("large");
    noise(&file, SIZE);
    let mut sender = world.send(&[&file]).via(&relay).share();
    let into = world.path("in");
    let mut receiver = world.recv(sender.code(), &into).via(&relay).start();
    let mut peak = 0;
    while receiver.wait_for("progress")["bytes"] != SIZE {
        peak = peak.max(peak_memory(&receiver).unwrap_or_default());
    }
    receiver.end().expect(0);
    assert_eq!(hash(&into.join("large")), hash(&file));
    sender.process.wait_for("download_finished");
    assert!(peak < MEMORY, "the receiver took {peak} bytes");
    for (name, process) in [("relay", &relay.process), ("sender", &sender.process)] {
        let peak = peak_memory(process).unwrap_or_default();
        assert!(peak < MEMORY, "the {name} took {peak} bytes");
    }
}

#[test]
fn a_limited_transfer_takes_its_time() {
    let world = World::new();
    let relay = world.relay();
    let file = world.path("file");
    noise(&file, 3_000_000);
    let mut sender = world.send(&[&file]).via(&relay).share();
    let taken = |into: &str, limit: &[&str]| {
        let into = world.path(into);
        let mut receiver = world.recv(sender.code(), &into).via(&relay);
        for word in limit {
            receiver = receiver.arg(word);
        }
        let received = receiver.run().expect(0);
        assert_eq!(hash(&into.join("file")), hash(&file));
        received.event("finished")["seconds"].as_f64().unwrap()
    };
    // The first piece passes at once, and nobody waits after the last.
    let limited = taken("slow", &["--limit-down", "1.5MB"]);
    assert!(limited >= 1.0, "{limited}");
    taken("cubic", &["--congestion", "cubic"]);
    sender.process.wait_for("download_finished");
    let sender = world.send(&[&file]).via(&relay).arg("--once").arg("--limit-up").arg("1500 kB").share();
    let into = world.path("up");
    let received = world.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(hash(&into.join("file")), hash(&file));
    let limited = received.event("finished")["seconds"].as_f64().unwrap();
    assert!(limited >= 1.5, "{limited}");
}

#[test]
fn a_folder_of_two_thousand_files_arrives_whole() {
    let world = World::new();
    let relay = world.relay();
    let folder = world.folder("tree");
    for n in 0..2_000 {
        let file = world.file(&format!("tree/{}/{}/file {n}.txt", n % 7, n % 31), n.to_string().repeat(n % 50));
        if n % 10 == 0 {
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        File::options().write(true).open(&file).unwrap().set_modified(moment(n as u64)).unwrap();
    }
    world.folder("tree/empty/emptier");
    world.folder("tree/3/hollow");
    File::open(world.path("tree/empty")).unwrap().set_modified(moment(5)).unwrap();
    let sender = world.send(&[&folder]).via(&relay).share();
    assert_eq!(sender.sharing["files"], 2_000);
    let into = world.path("in");
    let received = world.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["files"], 2_000);
    let arrived = Tree::of(&into.join("tree"));
    assert!(arrived.len() > 2_000);
    assert_eq!(arrived, Tree::of(&folder));
}

/// A time in the past, with nanoseconds.
fn moment(n: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + n * 1_000, 123_456_789)
}

#[test]
fn names_of_every_kind_arrive() {
    let world = World::new();
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
        world.file(&format!("names/{name}"), name);
        world.file(&format!("names/in a folder/{name}/{name}"), name);
    }
    let deep = (0..60).map(|_| "d").collect::<Vec<_>>().join("/");
    world.file(&format!("names/{deep}/bottom"), "deep");
    let folder = world.path("names");
    let relay = world.relay();
    let sender = world.send(&[&folder]).via(&relay).share();
    let into = world.path("in");
    let received = world.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["saved"][0], "names");
    assert_eq!(Tree::of(&into.join("names")), Tree::of(&folder));
}

#[test]
fn links_inside_arrive_and_links_out_are_left_out() {
    let world = World::new();
    world.file("outside", "secret");
    world.file("tree/folder/file", "content");
    let folder = world.path("tree");
    for (target, at) in [("folder/file", "to-file"), ("folder", "to-folder"), ("nowhere", "dangling")] {
        symlink(target, folder.join(at)).unwrap();
    }
    symlink("../to-file", folder.join("folder/up-and-down")).unwrap();
    let left_out = ["out", "absolute", "pipe"];
    symlink("../outside", folder.join("out")).unwrap();
    symlink(world.path("outside"), folder.join("absolute")).unwrap();
    mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let relay = world.relay();
    let sender = world.send(&[&folder]).via(&relay).share();
    let warnings: Vec<_> = sender.process.events().into_iter().filter(|e| e["event"] == "warning").collect();
    assert_eq!(warnings.len(), left_out.len(), "{warnings:?}");
    for name in left_out {
        let named = |w: &serde_json::Value| w["message"].as_str().unwrap().contains(&format!("tree/{name}”"));
        assert!(warnings.iter().any(|w| w["kind"] == "left_out" && named(w)), "{name}: {warnings:?}");
    }
    let into = world.path("in");
    world.recv(sender.code(), &into).via(&relay).run().expect(0);
    let expected = left_out.iter().fold(Tree::of(&folder), |tree, name| tree.without(name));
    assert_eq!(Tree::of(&into.join("tree")), expected);
}

#[test]
fn a_link_that_the_user_names_is_followed() {
    let world = World::new();
    world.file("real/file", "content");
    symlink("real", world.path("alias")).unwrap();
    let relay = world.relay();
    let sender = world.send(&[&world.path("alias")]).via(&relay).share();
    let into = world.path("in");
    world.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(Tree::of(&into.join("alias")), Tree::of(&world.path("real")));
}

#[test]
fn several_paths_arrive_side_by_side() {
    let world = World::new();
    let paths = [world.file("a/one", "1"), world.file("b/two", "2"), world.folder("c/three")];
    world.file("c/three/four", "4");
    let relay = world.relay();
    let sender = world.send(&paths.each_ref().map(|p| p.as_path())).via(&relay).share();
    assert_eq!(sender.sharing["name"], "one and 2 more");
    let into = world.path("in");
    let received = world.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["saved"], serde_json::json!(["one", "two", "three"]));
    for path in &paths {
        assert_eq!(Tree::of(&into.join(path.file_name().unwrap())), Tree::of(path));
    }
}

#[test]
fn a_folder_has_its_own_name_however_it_is_written() {
    let world = World::new();
    world.file("box/file", "content");
    world.folder("box/inner");
    let folder = world.path("box");
    let relay = world.relay();
    for (n, (path, at)) in [(".", "box"), ("box/", ""), ("./box/.", ""), ("..", "box/inner")].into_iter().enumerate() {
        let sender = world.send(&[Path::new(path)]).dir(&world.path(at)).via(&relay).share();
        assert_eq!(sender.sharing["name"], "box", "{path}");
        let into = world.path(&format!("in{n}"));
        world.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(Tree::of(&into.join("box")), Tree::of(&folder), "{path}");
    }
}
