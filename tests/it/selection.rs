//! Selected entries: what arrives, what is sent, and downloads of several selections from one share.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, time::Instant};

use proptest::{prelude::*, test_runner::TestRunner};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BIG, RelayProcess, SenderProcess, TestEnv};

/// Returns the paths of all files and empty folders below `dir`, sorted. Folders end in `/`.
fn tree(dir: &Path) -> Vec<String> {
    fn list(dir: &Path, prefix: &str, found: &mut Vec<String>) {
        let entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
        if entries.is_empty() && !prefix.is_empty() {
            found.push(prefix.to_owned());
        }
        for entry in entries {
            let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => list(&entry.path(), &format!("{path}/"), found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    list(dir, "", &mut found);
    found.sort();
    found
}

/// Shares a folder `h` with files of three bytes, and an empty folder.
fn share(env: &TestEnv, relay: &RelayProcess) -> SenderProcess {
    for path in ["h/a.jpg", "h/.env", "h/2024/b.jpg", "h/2024/raw/c.jpg", "h/2024/raw/run.sh"] {
        env.file(&format!("s/{path}"), "abc");
    }
    env.folder("s/h/empty");
    env.send(&[&env.path("s/h")]).via(relay).share()
}

fn event(events: &[Value], name: &str) -> Value {
    events.iter().find(|event| event["event"] == name).cloned().unwrap_or_else(|| panic!("no {name} in {events:?}"))
}

#[test]
fn only_the_selection_is_offered_sent_and_counted() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = share(&env, &relay);
    let into = env.path("in");
    let args = ["--only", "h/2024", "--exclude", "*.sh"];
    let received = env.recv(sender.code(), &into).args(&args).via(&relay).run().expect(0);
    assert_eq!(tree(&into), ["h/2024/b.jpg", "h/2024/raw/c.jpg"]);
    let (offer, finished) = (event(&received.events(), "offer"), event(&received.events(), "finished"));
    let numbers = |event: &Value, names: &[&str]| names.iter().map(|n| event[*n].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(&offer, &["files", "bytes", "unselected", "hidden", "executables"]), [2, 6, 4, 0, 0]);
    assert_eq!(numbers(&finished, &["files", "bytes", "skipped", "unselected"]), [2, 6, 4, 4]);
    let sent = sender.process.wait_for("download_finished");
    assert_eq!((sent["bytes"].as_u64(), sent["total"].as_u64()), (Some(6), Some(6)));

    let listed = env.qshare(&["recv", "--json", "--list", sender.code(), "--only", ".env"]).via(&relay).run().expect(0);
    let entries = event(&listed.events(), "entries");
    let paths: Vec<_> = entries["entries"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["h", "h/.env"]);
    assert_eq!(event(&listed.events(), "offer")["hidden"], 1);
}

#[test]
fn a_pattern_that_is_wrong_or_matches_nothing_is_a_usage_error() {
    let env = TestEnv::new();
    let relay = env.relay();
    let mut sender = share(&env, &relay);
    let recv = |option: &str, pattern: &str| {
        let into = env.path("in");
        let received = env.recv(sender.code(), &into).args(&[option, pattern]).via(&relay).run();
        assert!(tree(&into).is_empty());
        received
    };
    recv("--only", "*.JPG").expect_error(
        2,
        "usage",
        "“*.JPG” matches nothing in this share; the nearest entries are h/",
    );
    recv("--exclude", "h/2O24").expect_error(2, "usage", "the nearest entries are h/2024, ");
    recv("--only", "h/[a").expect_error(2, "usage", "--only: invalid pattern “h/[a”: ");
    recv("--only", "h/[a").expect_error(2, "usage", "(at character 3)");
    env.recv(sender.code(), &env.path("in")).args(&["--only", "h", "--exclude", "h"]).via(&relay).run().expect_error(
        2,
        "usage",
        "leaves nothing",
    );
    let declined = sender.process.wait_for("download_declined");
    assert_eq!(declined["download"], 1);

    let send = |args: &[&str]| env.send(&[&env.path("s/h")]).args(args).via(&relay).run();
    send(&["--exclude", "nothing"]).expect_error(
        2,
        "usage",
        "--exclude: “nothing” matches nothing in this share; the nearest",
    );
    send(&["--exclude", "{a"]).expect_error(2, "usage", "(at character 1)");
    send(&["--exclude", "h"]).expect_error(2, "usage", "leaves nothing to share");
}

/// Interrupts a download of a selection. Another selection is downloaded meanwhile, and the same command resumes the
/// first one.
#[test]
fn each_selection_resumes_by_itself() {
    let env = TestEnv::new();
    let relay = env.relay();
    fs::File::create(env.file("s/h/big", "")).unwrap().set_len(BIG).unwrap();
    env.file("s/h/small", "small");
    let mut sender = env.send(&[&env.path("s/h")]).args(&["--limit-up", "40MB"]).via(&relay).share();
    let into = env.path("in");
    let mut receiver = env.recv(sender.code(), &into).args(&["--only", "big"]).via(&relay).start();
    sender.process.wait_for("download_started");
    while receiver.wait_for("progress")["bytes"].as_u64().unwrap() < 8 << 20 {}
    receiver.signal(Signal::INT);
    receiver.end().expect(130);

    let other = ["--only", "small", "--overwrite"];
    let received = env.recv(sender.code(), &into).args(&other).via(&relay).run().expect(0);
    assert_eq!(event(&received.events(), "offer")["resumed_bytes"], 0);
    assert_eq!(tree(&into).iter().filter(|path| !path.starts_with(".qshare-")).collect::<Vec<_>>(), ["h/small"]);

    let again = ["--only", "big", "--overwrite"];
    let mut receiver = env.recv(sender.code(), &into).args(&again).via(&relay).start();
    assert!(receiver.wait_for("offer")["resumed_bytes"].as_u64().unwrap() >= 1 << 20);
    receiver.signal(Signal::INT);
    receiver.end().expect(130);
    assert_eq!(fs::read_to_string(into.join("h/small")).unwrap(), "small");
}

#[test]
fn a_selection_counts_as_the_download_of_a_share_for_one() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("s/h/a", "a");
    env.file("s/h/b", "b");
    let sender = env.send(&[&env.path("s/h")]).arg("--once").via(&relay).share();
    env.recv(sender.code(), &env.path("in")).args(&["--only", "a"]).via(&relay).run().expect(0);
    sender.process.end().expect(0);
    assert_eq!(tree(&env.path("in")), ["h/a"]);
}

#[test]
fn excluded_entries_are_neither_scanned_nor_listed() {
    let env = TestEnv::new();
    let relay = env.relay();
    for path in ["src/main.c", "src/main.o", "target/out/x", ".git/config", "tmp/a\u{202e}b", "keep.o"] {
        env.file(&format!("s/p/{path}"), "");
    }
    env.file("s/p/.gitignore", "*.o\n!keep.o\n/target\n");
    env.file("s/p/src/.gitignore", "*.c.bak\n");
    env.file("s/p/src/main.c.bak", "");
    let args = ["--gitignore", "--exclude", ".git/", "--exclude", "tmp"];
    let sender = env.send(&[&env.path("s/p")]).args(&args).via(&relay).share();
    let sharing = event(&sender.process.events(), "sharing");
    assert_eq!((sharing["excluded"].as_u64(), &sharing["left_out"]), (Some(5), &Value::Array(Vec::new())));
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    assert_eq!(tree(&env.path("in")), ["p/.gitignore", "p/keep.o", "p/src/.gitignore", "p/src/main.c"]);
}

/// A part of a repository is shared without what the rules of the repository ignore.
#[test]
fn rules_of_the_repository_apply_to_its_folders() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("s/repo/.git/info/exclude", "private\n");
    env.file("s/repo/.gitignore", "/lib/build\n*.log\n");
    env.file("s/repo/lib/.gitignore", "!keep.log\n");
    for path in ["build/x", "sub/build/y", "a.log", "keep.log", "private"] {
        env.file(&format!("s/repo/lib/{path}"), "");
    }
    let sender = env.send(&[&env.path("s/repo/lib")]).arg("--gitignore").via(&relay).share();
    env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    assert_eq!(tree(&env.path("in")), ["lib/.gitignore", "lib/keep.log", "lib/sub/build/y"]);
}

#[test]
fn links_are_kept_skipped_or_followed() {
    let env = TestEnv::new();
    let relay = env.relay();
    let outside = env.file("outside/f", "outside");
    env.file("s/h/f", "inside");
    for (target, link) in [
        (Path::new("f"), "inside"),
        (Path::new("../../outside"), "up"),
        (&outside, "absolute"),
        (Path::new("."), "circle"),
        (Path::new("itself"), "itself"),
        (Path::new("missing"), "broken"),
    ] {
        symlink(target, env.path("s/h").join(link)).unwrap();
    }
    for (policy, arrived, left_out) in [
        (&[][..], &["h/broken", "h/circle", "h/f", "h/inside", "h/itself"][..], &["absolute_link", "outside_link"][..]),
        (&["--links", "skip"], &["h/f"], &[]),
        (
            &["--links", "follow"],
            &["h/absolute", "h/f", "h/inside", "h/up/f"],
            &["broken_link", "link_loop", "link_loop"],
        ),
    ] {
        let sender = env.send(&[&env.path("s/h")]).args(policy).via(&relay).share();
        let into = env.path(&format!("in{}", policy.concat()));
        env.recv(sender.code(), &into).via(&relay).run().expect(0);
        assert_eq!(tree(&into), arrived, "{policy:?}");
        let events = sender.process.events();
        let reasons = events.iter().filter(|e| e["event"] == "left_out").flat_map(|e| e["entries"].as_array().unwrap());
        let mut reasons: Vec<_> = reasons.map(|entry| entry["reason"].as_str().unwrap().to_owned()).collect();
        reasons.sort();
        assert_eq!(reasons, left_out, "{policy:?}");
        if policy.contains(&"follow") {
            assert!(fs::symlink_metadata(into.join("h/up/f")).unwrap().is_file());
            assert_eq!(fs::read_to_string(into.join("h/absolute")).unwrap(), "outside");
        }
        sender.stop();
    }
}

/// A link that is followed and leads elsewhere after the scan does not disclose another file.
#[test]
fn a_followed_link_that_is_changed_after_the_scan_discloses_nothing() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("outside/public", "public");
    let secret = env.file("outside/secret", "secret");
    let public = fs::metadata(env.path("outside/public")).unwrap();
    fs::File::open(&secret).unwrap().set_modified(public.modified().unwrap()).unwrap();
    env.folder("s/h");
    symlink(env.path("outside/public"), env.path("s/h/link")).unwrap();
    // The rate leaves time between the offer and the file, and the big file comes first.
    fs::File::create(env.file("s/h/a", "")).unwrap().set_len(BIG).unwrap();
    let mut sender = env.send(&[&env.path("s/h")]).args(&["--links", "follow"]).via(&relay).share();
    let into = env.path("in");
    let receiver = env.recv_and_pause(&mut sender, &relay, &into);
    fs::remove_file(env.path("s/h/link")).unwrap();
    symlink(&secret, env.path("s/h/link")).unwrap();
    receiver.signal(Signal::CONT);
    let ended = receiver.end().expect(1);
    assert_eq!(event(&ended.events(), "finished")["incomplete"], Value::from(vec!["h/link"]));
    assert!(!into.join("h/link").exists());
}

/// Prints how long one file of 10,000 takes, and the same file alone: `just selection`. Scanning and listing the others
/// should take at most 0.3 s.
#[test]
#[ignore = "measures, on an idle machine"]
fn one_file_of_ten_thousand() {
    let env = TestEnv::new();
    let relay = env.relay();
    for n in 0..10_000 {
        env.file(&format!("s/many/folder-{}/file-{n}", n / 100), [0; 4096]);
    }
    env.file("s/one/file-5000", [0; 4096]);
    for round in 0..5 {
        for (name, share) in [("alone", "s/one"), ("of 10,000", "s/many")] {
            let sender = env.send(&[&env.path(share)]).via(&relay).share();
            let into = env.path(&format!("in {name} {round}"));
            let receiver = env.recv(sender.code(), &into).args(&["--only", "file-5000"]).via(&relay);
            let started = Instant::now();
            receiver.run().expect(0);
            println!("{name}: {:.3} s", started.elapsed().as_secs_f64());
            sender.stop();
        }
    }
}

/// Downloads random selections from random trees: what arrives is what globset says.
#[test]
fn what_arrives_equals_what_globset_says() {
    let strategy = (
        proptest::collection::btree_set("[ab]{1,2}(/[ab.]?[ab]){0,3}", 1..12),
        proptest::collection::vec("[ab?*]{1,2}(/(\\*\\*|[ab?*]{1,2})){0,2}", 0..3),
        proptest::collection::vec("[ab?*]{1,2}(/[ab*]{1,2})?", 0..2),
    );
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() });
    let env = TestEnv::new();
    let relay = env.relay();
    let case = std::cell::Cell::new(0);
    let result = runner.run(&strategy, |(files, only, exclude)| {
        case.set(case.get() + 1);
        let (root, into) = (format!("s{}", case.get()), env.path(&format!("in{}", case.get())));
        let is_folder = |path: &str| files.iter().any(|other| other.starts_with(&format!("{path}/")));
        let files: Vec<&String> = files.iter().filter(|path| !is_folder(path)).collect();
        let shared: BTreeSet<_> = files.iter().map(|path| format!("r/{path}")).collect();
        shared.iter().for_each(|path| drop(env.file(&format!("{root}/{path}"), path)));
        let matches = |pattern: &String, path: &str| {
            let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build().unwrap().compile_matcher();
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            ends.map(|end| &path[..end]).any(|entry| {
                glob.is_match(if pattern.contains('/') { entry } else { entry.rsplit('/').next().unwrap() })
            })
        };
        let expected: Vec<String> = shared
            .iter()
            .filter(|path| only.is_empty() || only.iter().any(|pattern| matches(pattern, path)))
            .filter(|path| !exclude.iter().any(|pattern| matches(pattern, path)))
            .cloned()
            .collect();
        let is_matched = |pattern: &String| shared.iter().any(|path| matches(pattern, path));
        let options = only.iter().map(|p| ["--only", p]).chain(exclude.iter().map(|p| ["--exclude", p]));
        let options: Vec<&str> = options.flatten().collect();
        let sender = env.send(&[&env.path(&format!("{root}/r"))]).via(&relay).share();
        let received = env.recv(sender.code(), &into).args(&options).via(&relay).run();
        if only.iter().chain(&exclude).all(is_matched) && !expected.is_empty() {
            received.expect(0);
            let arrived: Vec<_> = tree(&into).into_iter().filter(|path| !path.ends_with('/')).collect();
            prop_assert_eq!(arrived, expected);
        } else if !only.iter().chain(&exclude).all(is_matched) {
            received.expect(2);
        }
        sender.stop();
        Ok(())
    });
    result.unwrap();
}
