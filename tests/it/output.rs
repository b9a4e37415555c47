//! The two output streams, the fields of the JSON events, and what must never be shown.

use std::{fs, path::Path};

use qshare::internals::code::Code;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{ProcessOutput, RelayProcess, TestEnv};

#[test]
fn results_go_to_standard_output_and_messages_to_standard_error() {
    let env = TestEnv::new();
    let relay = env.qshare(&["relay", "--listen", "127.0.0.1:0"]).start();
    let spec = relay.wait_for_lines(1).remove(0);
    let file = env.file("file", "content");
    let sender = env.qshare(&["send", "--relay", &spec]).arg(&file).start();
    let lines = sender.wait_for_lines(2);
    let code = Code::parse(&lines[0]).unwrap();
    assert!(lines[1].starts_with("qshare://") && lines[1].contains(&lines[0]), "{lines:?}");
    let into = env.folder("in");
    let received = env.qshare(&["recv", "--yes", "--relay", &spec, &lines[0]]).dir(&into).run().expect(0);
    assert_eq!(received.text(), "file\n");
    assert!(
        received.stderr.contains("1 file, 7 B, to be saved in ") && received.stderr.contains("Saved 1 file"),
        "{received}"
    );
    sender.wait_for_message("receiver 1: done");
    sender.signal(Signal::INT);
    let sent = sender.end().expect(0);
    assert_eq!(sent.text(), format!("{}\n{}\n", lines[0], lines[1]));
    assert!(sent.stderr.starts_with("Sharing file: 1 file, 7 B\n") && sent.stderr.ends_with("Stopped.\n"), "{sent}");
    assert!(!sent.stderr.contains(std::str::from_utf8(code.secret().expose()).unwrap()), "{sent}");
    relay.signal(Signal::INT);
    let relayed = relay.end().expect(0);
    assert_eq!(relayed.text(), format!("{spec}\n"));
    assert!(relayed.stderr.contains("listening on"), "{relayed}");
}

#[test]
fn an_error_takes_at_most_two_lines_and_has_no_backtrace() {
    let env = TestEnv::new();
    let failed = env.qshare(&["send", "missing"]).env("RUST_BACKTRACE", "1").run().expect(2);
    assert_eq!(failed.text(), "");
    let lines: Vec<_> = failed.stderr.lines().collect();
    assert!(lines.len() <= 2 && lines[0].starts_with("error: ") && lines[0].contains("missing"), "{failed}");
}

#[test]
fn quiet_prints_only_results_and_errors() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.qshare(&["send", "--quiet"]).arg(env.file("file", "")).via(&relay).start();
    let code = sender.wait_for_lines(2).remove(0);
    let into = env.folder("in");
    let recv = || env.qshare(&["recv", "--quiet", "--yes", &code]).via(&relay).dir(&into).run();
    let received = recv().expect(0);
    assert_eq!((received.text(), received.stderr), ("file\n".to_owned(), String::new()));
    let refused = recv().expect(6);
    assert!(refused.text().is_empty() && refused.stderr.starts_with("error: "), "{refused}");
    sender.signal(Signal::INT);
    assert_eq!(sender.end().expect(0).stderr, "");
}

/// Returns the names of a JSON object's fields in the order in which they are written.
fn fields(line: &str) -> Vec<String> {
    let object: Value = serde_json::from_str(line).unwrap();
    let mut fields: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
    fields.sort_by_key(|field| line.find(&format!("\"{field}\":")));
    fields
}

#[test]
fn each_json_event_is_one_line_with_the_documented_fields() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("box/file", "content");
    env.file("box/.hidden", "");
    let sender = env.send(&[&env.path("box")]).via(&relay).args(&["--once", "--expire", "2h"]).share();
    let list = env.recv(sender.code(), &env.path("in")).via(&relay).arg("--list").run().expect(0);
    let received = env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    let (sharing, link) = (sender.sharing.clone(), sender.link().to_owned());
    let sent = sender.process.end().expect(0);
    let relayed = relay.stop();

    let download = ["event", "download", "peer", "path", "bytes", "total"];
    let expected: [(&ProcessOutput, &str, &[&str]); 9] = [
        (&relayed, "relay_listening", &["event", "addr", "addresses", "pin"]),
        (&relayed, "stopped", &["event", "reason"]),
        (
            &sent,
            "sharing",
            &[
                "event", "schema", "share", "code", "link", "name", "files", "bytes", "text", "left_out", "excluded",
                "relay", "embedded", "lan", "expires",
            ],
        ),
        (&sent, "download_started", &download),
        (&sent, "download_finished", &[&download[..], &["seconds", "files"]].concat()),
        (
            &received,
            "offer",
            &[
                "event",
                "schema",
                "share",
                "name",
                "files",
                "bytes",
                "text",
                "resumed_bytes",
                "left_out",
                "unselected",
                "changed",
                "unsupported",
                "limits",
                "target",
                "hidden",
                "executables",
                "auto_run",
                "auto_run_paths",
                "more",
                "names",
            ],
        ),
        (&received, "progress", &["event", "bytes", "total", "rate", "file"]),
        (
            &received,
            "finished",
            &[
                "event",
                "bytes",
                "seconds",
                "saved",
                "files",
                "skipped",
                "unselected",
                "unsupported",
                "incomplete",
                "path",
            ],
        ),
        (&list, "entries", &["event", "entries"]),
    ];
    for (outcome, event, expected) in expected {
        let text = outcome.text();
        let line = text.lines().find(|line| line.starts_with(&format!("{{\"event\":\"{event}\"")));
        assert_eq!(fields(line.unwrap_or_else(|| panic!("{event}: {outcome}"))), expected, "{event}");
    }
    for outcome in [&relayed, &sent, &received, &list] {
        assert!(outcome.text().lines().all(|line| line.starts_with("{\"event\":\"")), "{outcome}");
        assert_eq!(outcome.stderr, "");
    }
    let offer = received.event("offer");
    assert_eq!(offer["share"], sharing["share"]);
    assert_eq!((&offer["name"], &offer["files"], &offer["bytes"]), (&json!("box"), &json!(2), &json!(7)));
    let name = json!({"name": "box", "kind": "folder", "action": "create", "hidden": false, "executable": false,
        "auto_run": false});
    assert_eq!((&offer["names"], &offer["hidden"], &offer["more"]), (&json!([name]), &json!(1), &json!(0)));
    assert_eq!(offer["target"], env.path("in").to_str().unwrap());
    assert_eq!((&sharing["schema"], &offer["schema"], &offer["resumed_bytes"]), (&json!(1), &json!(1), &json!(0)));
    assert!(
        link.starts_with("qshare://127.0.0.1:")
            && link.ends_with(&relayed.event("relay_listening")["pin"].as_str().unwrap())
    );
    let finished = received.event("finished");
    assert_eq!((&finished["bytes"], &finished["path"]), (&json!(7), &json!("relay")));
    assert!(finished["seconds"].as_f64().unwrap() >= 0.0);
}

#[test]
fn small_socket_buffers_cause_a_warning_only_for_other_machines() {
    /// The size that the program asks for, in both directions.
    const WANTED: u64 = 4 * 1024 * 1024;
    let limit = |name| fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse::<u64>().ok();
    let Some(limits) = ["rmem_max", "wmem_max"].into_iter().map(limit).collect::<Option<Vec<_>>>() else { return };
    let expected = usize::from(limits.iter().any(|limit| *limit < WANTED));
    let warnings =
        |outcome: &ProcessOutput| outcome.all("warning").iter().filter(|w| w["kind"] == "socket_buffer").count();
    let env = TestEnv::new();
    let relay = |addr| RelayProcess::start(env.qshare(&["relay", "--json", "--listen", addr]));
    for _ in 0..2 {
        assert_eq!(warnings(&relay("0.0.0.0:0").stop()), expected, "a relay warns at every start");
    }
    let near = relay("127.0.0.1:0");
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).via(&near).share();
    let received = env.recv(sender.code(), &env.path("in")).via(&near).run().expect(0);
    for outcome in [received, sender.stop(), near.stop()] {
        assert_eq!(warnings(&outcome), 0, "no packet is lost within a machine: {outcome}");
    }
    for expected in [expected, 0] {
        let sender = env.send(&[&file]).share();
        assert_eq!(warnings(&sender.stop()), expected, "a user sees the warning once");
    }
}

#[test]
fn list_prints_every_entry_and_saves_nothing() {
    let env = TestEnv::new();
    let relay = env.relay();
    env.file("box/.hidden/file", "content");
    std::os::unix::fs::symlink("file", env.path("box/.hidden/link")).unwrap();
    for n in 0..1_500 {
        env.file(&format!("box/many/{n}"), "");
    }
    let sender = env.send(&[&env.path("box")]).via(&relay).share();
    let into = env.folder("in");
    let listed = env.recv(sender.code(), &into).via(&relay).arg("--list").run().expect(0);
    let entries: Vec<Value> =
        listed.all("entries").iter().flat_map(|e| e["entries"].as_array().unwrap().clone()).collect();
    assert_eq!(entries.len(), 1_505);
    let find = |path: &str| entries.iter().find(|e| e["path"] == path).unwrap();
    let (file, link) = (find("box/.hidden/file"), find("box/.hidden/link"));
    assert_eq!((&file["kind"], &file["size"], &file["link"]), (&json!("file"), &json!(7), &Value::Null));
    assert!(file["mode"].is_u64() && file["mtime"].is_i64(), "{file}");
    assert_eq!((&link["kind"], &link["link"]), (&json!("link"), &json!("file")));
    let human = env.qshare(&["recv", "--list", sender.code()]).via(&relay).dir(&into).run().expect(0);
    assert_eq!(human.text().lines().count(), 1_505);
    assert!(human.text().contains(" box/.hidden/link -> file\n"), "{human}");
    assert!(human.stderr.contains("including 2 hidden files"), "{human}");
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
}

#[test]
fn no_log_and_no_file_of_others_contains_the_secret() {
    let env = TestEnv::new();
    let relay = RelayProcess::start(env.qshare(&["relay", "-vv", "--json", "--listen", "127.0.0.1:0"]));
    let file = env.file("a-name-of-a-user", "content of a user");
    let sender = env.send(&[&file]).via(&relay).args(&["-vv", "--code-length", "20"]).share();
    let code = Code::parse(sender.code()).unwrap();
    let secret = String::from_utf8(code.secret().expose().to_vec()).unwrap();
    let into = env.path("in");
    let receiver = env.qshare(&["recv", "-vv", "--json", "--yes"]).env("QSHARE_CODE", sender.code());
    fs::create_dir(&into).unwrap();
    let received = receiver.via(&relay).dir(&into).run().expect(0);
    let list = env.qshare(&["recv", "-vv", "--list", sender.code()]).via(&relay).run().expect(0);
    let refused = env.recv(sender.code(), &into).via(&relay).arg("-vv").run().expect(6);
    let folders = ["relay", "resumptions", "running"].map(|name| env.state().join(name));
    assert!(folders[0].exists(), "the relay has no state folder");
    for folder in folders.iter().filter(|folder| folder.exists()) {
        assert!(!contains(folder, secret.as_bytes()), "a file in {folder:?} contains the secret");
    }
    let sent = sender.stop();
    assert!(
        !contains(&env.path("home"), secret.as_bytes()),
        "a state file contains the secret of a share that has ended"
    );
    let relayed = relay.stop();
    let hides = |text: &str| !text.to_uppercase().contains(&secret);
    for outcome in [&received, &list, &refused, &relayed] {
        assert!(hides(&outcome.text()) && hides(&outcome.stderr), "{outcome}");
    }
    let (shown, rest): (Vec<_>, Vec<_>) = sent.events().into_iter().partition(|e| e["event"] == "sharing");
    assert!(!hides(&shown[0].to_string()) && rest.iter().all(|event| hides(&event.to_string())), "{sent}");
    assert!(hides(&sent.stderr), "{sent}");
    for private in ["a-name-of-a-user", "content of a user"] {
        assert!(!relayed.stderr.contains(private) && !relayed.text().contains(private), "{relayed}");
    }
}

/// Returns whether a file below a folder contains these bytes.
fn contains(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, bytes);
        }
        fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn control_characters_in_names_are_escaped() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let name = "\x1b[2J\u{202e}gpj.exe\n\x07";
    let other = env.file("other", ""); // the name of a share of one file is the name of the file
    let sender = env.qshare(&["send", "--name", name]).args(&[&file, &other]).via(&relay).start();
    let code = sender.wait_for_lines(1).remove(0);
    let list = env.qshare(&["recv", "--list", &code]).via(&relay).run().expect(0);
    let json = env.qshare(&["recv", "--list", "--json", &code]).via(&relay).run().expect(0);
    assert_eq!(json.event("offer")["name"], name, "JSON contains the name unchanged");
    sender.signal(Signal::INT);
    let sent = sender.end().expect(0);
    for text in [&list.stderr, &sent.stderr] {
        assert!(text.contains("\\u{1b}[2J\\u{202e}gpj.exe\\u{a}\\u{7}"), "{text}");
    }
    for text in [&list.stderr, &sent.stderr, &list.text(), &json.text()] {
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let env = TestEnv::new();
    for words in [&["--help"][..], &["--version"], &["send", "--help"], &["recv", "--help"], &["relay", "--help"]] {
        let shown = env.qshare(words).run().expect(0);
        assert!(!shown.text().is_empty() && shown.stderr.is_empty(), "{words:?}: {shown}");
        assert!(!shown.text().contains('\x1b'), "{words:?}: {shown}");
    }
    let version = env.qshare(&["--version"]).run().expect(0);
    assert!(version.text().starts_with(concat!("qshare ", env!("CARGO_PKG_VERSION"))), "{version}");
    let help = env.qshare(&["--help"]).run().expect(0).text();
    for promised in ["send", "recv", "relay", "Exit codes:", "130"] {
        assert!(help.contains(promised), "{promised}: {help}");
    }
}

#[test]
fn a_download_that_skips_everything_says_so_at_both_ends() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.qshare(&["send"]).arg(env.file("file", "new")).via(&relay).start();
    let code = sender.wait_for_lines(1).remove(0);
    let into = env.folder("in");
    fs::write(into.join("file"), "mine").unwrap();
    let received = env.qshare(&["recv", "--yes", "--skip", &code]).via(&relay).dir(&into).run().expect(0);
    assert_eq!(received.text(), "");
    assert!(received.stderr.ends_with("Skipped 1 file (already exists)\n"), "{received}");
    sender.wait_for_message("receiver 1: done, no files were needed\n");
    sender.signal(Signal::INT);
    sender.end().expect(0);
}
