//! How a receiver finds its sender: codes, links, and where the relay is configured.

use crate::support::{FileTree, QshareCommand, RelayProcess, TestEnv};

/// Runs `receiver` in the folder `into` and checks that `file` arrives there.
#[track_caller]
fn assert_file_arrives(env: &TestEnv, receiver: QshareCommand, into: &str) {
    let into = env.folder(into);
    receiver.args(&["--json", "--yes"]).dir(&into).run().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&env.path("file")));
}

#[test]
fn without_a_configured_relay_the_code_works_on_the_same_machine() {
    let env = TestEnv::new();
    let sender = env.send(&[&env.file("file", "content")]).share();
    assert_eq!(sender.sharing["embedded"], true);
    assert_file_arrives(&env, env.qshare(&["recv", sender.code()]), "in1");
    assert_file_arrives(&env, env.qshare(&["receive", sender.code()]), "in2");
    assert_file_arrives(&env, env.qshare(&["recv"]).env("QSHARE_CODE", sender.code()), "in3");
    let code = sender.code().to_owned();
    sender.stop();
    let gone = env.recv(&code, &env.path("in4")).run();
    gone.expect_error(3, "not_found", "no sender with this code was found on this machine");
}

#[test]
fn without_a_configured_relay_the_link_works_for_other_users() {
    let env = TestEnv::new();
    let sender = env.send(&[&env.file("file", "content")]).share();
    let other = TestEnv::new();
    let into = other.path("in");
    other.recv(sender.link(), &into).run().expect(0);
    assert_eq!(FileTree::of(&into.join("file")), FileTree::of(&env.path("file")));
    let code_alone = other.recv(sender.code(), &other.path("in2")).run();
    code_alone.expect(0);
}

#[test]
fn two_senders_on_one_machine_run_separate_relays() {
    let env = TestEnv::new();
    let file = env.file("file", "content");
    let senders = [env.send(&[&file]).share(), env.send(&[&file]).share()];
    assert_ne!(senders[0].sharing["relay"], senders[1].sharing["relay"]);
    for (n, sender) in senders.iter().enumerate() {
        assert_file_arrives(&env, env.qshare(&["recv", sender.code()]), &format!("in{n}"));
        assert_file_arrives(&env, env.qshare(&["recv", sender.link()]), &format!("link{n}"));
    }
}

#[test]
fn codes_are_accepted_in_every_common_spelling() {
    let env = TestEnv::new();
    let relay = env.relay();
    let sender = env.send(&[&env.file("file", "content")]).via(&relay).share();
    let code = sender.code();
    let spellings = [
        code.to_lowercase(),
        code.replace('-', ""),
        code.replace('-', " "),
        code.replace('-', "\u{2013}"),
        format!(" {code}\n"),
        code.chars().map(|c| format!("{c} ")).collect(),
        sender.link().to_owned(),
    ];
    for (n, typed) in spellings.iter().enumerate() {
        assert_file_arrives(&env, env.qshare(&["recv", typed]).via(&relay), &format!("in{n}"));
    }
}

#[test]
fn the_relay_is_set_by_option_environment_or_config_file() {
    let env = TestEnv::new();
    let relay = env.relay();
    let file = env.file("file", "content");
    let sender = env.send(&[&file]).env("QSHARE_RELAY", relay.spec()).share();
    assert_eq!(sender.sharing["embedded"], false);
    assert_eq!(sender.sharing["relay"], relay.addr);
    assert_file_arrives(&env, env.qshare(&["recv", sender.code()]).env("QSHARE_RELAY", relay.spec()), "in1");
    env.file("home/config/qshare/config.toml", format!("relay = \"{}\"", relay.spec()));
    assert_file_arrives(&env, env.qshare(&["recv", sender.code()]), "in2");
    let other = env.send(&[&file]).share();
    assert_eq!(other.sharing["relay"], relay.addr);
    env.file("home/config/qshare/config.toml", "rellay = \"typo\"");
    let refused = env.recv(sender.code(), &env.path("in3")).run();
    refused.expect_error(2, "usage", "config.toml");
}

#[test]
fn a_restarted_relay_keeps_its_key_and_serves_both_ip_versions() {
    let env = TestEnv::new();
    let relay = env.relay();
    let pin = relay.pin.clone();
    relay.stop();
    let relay = RelayProcess::start(env.qshare(&["relay", "--json", "--listen", "[::]:0"]));
    assert_eq!(relay.pin, pin);
    let port = relay.addr.rsplit_once(':').unwrap().1;
    let sender =
        env.send(&[&env.file("file", "content")]).args(&["--relay", &format!("127.0.0.1:{port}#{pin}")]).share();
    let by_name = format!("localhost:{port}#{pin}");
    assert_file_arrives(&env, env.qshare(&["recv", sender.code(), "--relay", &by_name]), "in");
    relay.stop();
    let certs = env.path("certs");
    let missing = env.qshare(&["relay", "--json", "--listen", "127.0.0.1:0", "--certs"]).arg(&certs).run();
    missing.expect_error(2, "usage", "is not a folder");
    assert!(!certs.exists());
    std::fs::create_dir(&certs).unwrap();
    let relay = RelayProcess::start(env.qshare(&["relay", "--json", "--listen", "127.0.0.1:0", "--certs"]).arg(&certs));
    assert_ne!(relay.pin, pin);
    for entry in std::fs::read_dir(&certs).unwrap() {
        use std::os::unix::fs::MetadataExt;
        let mode = entry.unwrap().metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
