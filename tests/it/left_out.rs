//! Entries of shared folders that are left out, and what both ends learn about them.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::support::{FileTree, TestEnv, entry_names};

/// Creates `tree` with one file that can be shared, and 14 items that cannot: 12 names, a pipe and a link.
fn unsendable_tree(env: &TestEnv) -> std::path::PathBuf {
    env.file("tree/file", "content");
    (0..10).for_each(|n| drop(env.file(&format!("tree/bell{n}\x07"), "")));
    env.file("tree/Icon\r", "");
    fs::write(env.path("tree").join(std::ffi::OsStr::from_bytes(b"latin\xe9")), "").unwrap();
    mknodat(CWD, env.path("tree/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    symlink("/usr/bin/python3", env.path("tree/python3")).unwrap();
    env.path("tree")
}

#[test]
fn everything_that_cannot_be_shared_is_listed_at_once_and_left_out_on_request() {
    let env = TestEnv::new();
    let relay = env.relay();
    let tree = unsendable_tree(&env);
    let refused = env.send(&[&tree]).via(&relay).run();
    let message = refused.expect_error(2, "usage", "cannot share 14 items:");
    assert!(message.contains("and 4 more") && message.contains("--skip-unsendable"), "{message}");
    let refused = env.send(&[&tree]).via(&relay).arg("-v").run();
    let message = refused.expect_error(2, "usage", "tree/Icon\\u{d}: it has the character \\u{d}");
    for part in ["tree/pipe: it is a pipe", "tree/python3: it is a link to an absolute path: /usr/bin/python3", "UTF-8"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }

    let sender = env.send(&[&tree]).via(&relay).arg("--skip-unsendable").share();
    let counts = json!([
        { "reason": "special", "count": 1 },
        { "reason": "absolute_link", "count": 1 },
        { "reason": "name", "count": 11 },
        { "reason": "not_unicode", "count": 1 },
    ]);
    assert_eq!(sender.sharing["left_out"], counts);
    let events = sender.process.events();
    let listed: usize = events.iter().filter_map(|e| e["entries"].as_array().map(Vec::len)).sum();
    assert_eq!(listed, 14);
    let list = env.qshare(&["recv", "--list", sender.code()]).via(&relay).run().expect(0);
    assert!(list.stderr.contains("left out by the sender:\n  sockets, pipes and devices (1)\n"), "{list}");
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("offer")["left_out"], counts);
    assert_eq!(entry_names(&into.join("tree")), ["file"]);
    sender.stop();
}

#[test]
fn a_sender_at_a_terminal_is_asked_once() {
    let env = TestEnv::new();
    let relay = env.relay();
    let tree = unsendable_tree(&env);
    for (answer, code) in [("n", 7), ("y", 0)] {
        let command = env.qshare(&["send", "--once"]).arg(&tree).via(&relay);
        let (sender, mut keyboard) = command.start_at_a_terminal();
        sender.wait_for_message("Leave these 14 out? [Y/n]");
        keyboard.line(answer);
        if code == 0 {
            let code = sender.wait_for_lines(1).remove(0);
            env.recv(&code, &env.path("in")).via(&relay).run().expect(0);
        }
        let ended = sender.end().expect(code);
        assert_eq!(ended.stderr.contains("nothing was shared"), code == 7, "{ended}");
    }
}

/// A virtual environment contains a link to the interpreter. It needs no flag.
#[test]
fn links_out_of_the_share_are_left_out_and_reported_at_both_ends() {
    let env = TestEnv::new();
    env.file("venv/pyvenv.cfg", "home = /usr/bin");
    env.folder("venv/bin");
    symlink("/usr/bin/python3", env.path("venv/bin/python3")).unwrap();
    symlink("../../outside", env.path("venv/bin/outside")).unwrap();
    let relay = env.relay();
    let sender = env.send(&[&env.path("venv")]).via(&relay).share();
    let warning = sender.process.events().into_iter().find(|e| e["kind"] == "left_out").unwrap();
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("left out 2 items") && message.contains("venv/bin/python3: it is a link to"), "{message}");
    let counts = json!([{ "reason": "outside_link", "count": 1 }, { "reason": "absolute_link", "count": 1 }]);
    assert_eq!(sender.sharing["left_out"], counts);
    let received = env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    assert_eq!(received.event("offer")["left_out"], counts);
    let (left, right) = (FileTree::of(&env.path("venv")), FileTree::of(&env.path("in/venv")));
    assert_eq!(right, left.without("bin/python3").without("bin/outside"));
}

#[test]
fn the_state_folder_is_never_shared() {
    let env = TestEnv::new();
    env.file("home/photo", "content");
    let relay = env.relay();
    let sender = env.send(&[&env.path("home")]).via(&relay).share();
    let is_own = |e: &Value| e["message"].as_str().is_some_and(|text| text.contains("this tool's own files"));
    assert!(sender.process.events().iter().any(is_own));
    let into = env.path("in");
    let received = env.recv(sender.code(), &into).via(&relay).run().expect(0);
    assert_eq!(received.event("offer")["left_out"], json!([{ "reason": "own_file", "count": 1 }]));
    assert!(into.join("home/photo").exists() && !into.join("home/state/qshare").exists());
    for path in ["home/state/qshare", "home/state/qshare/shares"] {
        env.send(&[Path::new(path)]).via(&relay).run().expect_error(2, "usage", "own files, which are never shared");
    }
}

#[test]
fn a_single_path_is_saved_under_the_name_of_the_share() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).args(&["--name", "letter.txt"]).via(&relay).share();
    let received = env.recv(sender.code(), &env.path("in")).via(&relay).run().expect(0);
    assert_eq!(received.event("finished")["saved"], json!(["letter.txt"]));
    assert_eq!(fs::read_to_string(env.path("in/letter.txt")).unwrap(), "content");
    let refused = env.send(&[&file]).args(&["--name", "a/b"]).via(&relay).run();
    refused.expect_error(2, "usage", "cannot be the name of a file");
}
