//! Commands without a state folder, for example without a home or with a read-only root.

use std::fs;

use serde_json::Value;

use crate::support::{QshareCommand, RelayProcess, TestEnv};

/// Runs a command without a home: the paths of its folders lead through a file.
fn without_home(env: &TestEnv, command: QshareCommand) -> QshareCommand {
    let file = env.file("not-a-folder", "");
    let command = command.env("HOME", file.join("home")).env("XDG_STATE_HOME", file.join("state"));
    command.env("XDG_CONFIG_HOME", file.join("config"))
}

/// Checks that exactly one warning is about the state folder, and that it names the variable.
#[track_caller]
fn assert_one_warning(events: &[Value]) {
    let warnings: Vec<_> = events.iter().filter(|e| e["kind"] == "state").collect();
    assert_eq!(warnings.len(), 1, "{events:?}");
    assert!(warnings[0]["hint"].as_str().unwrap().contains("XDG_STATE_HOME"), "{warnings:?}");
}

#[test]
fn every_command_of_a_transfer_works_without_a_state_folder() {
    let env = TestEnv::new();
    let file = env.file("file", "content");
    let relay = without_home(&env, env.qshare(&["relay", "--json", "--listen", "127.0.0.1:0"]));
    let relay = RelayProcess::start(relay);
    for spec in [relay.spec(), relay.addr.clone(), "embedded".to_owned()] {
        let with_relay = |command: QshareCommand| match spec.as_str() {
            "embedded" => command,
            spec => command.args(&["--relay", spec]),
        };
        let sender = with_relay(without_home(&env, env.send(&[&file]))).share();
        assert_one_warning(&sender.process.events());
        let into = env.folder(&format!("in {spec}"));
        let target = if spec == "embedded" { sender.link() } else { sender.code() };
        let received = with_relay(without_home(&env, env.recv(target, &into))).run().expect(0);
        assert_one_warning(&received.events());
        assert_eq!(fs::read_to_string(into.join("file")).unwrap(), "content");
        let listed = with_relay(without_home(&env, env.qshare(&["recv", "--json", "--list", target]))).run().expect(0);
        assert_one_warning(&listed.events());
        sender.stop();
    }
    assert_one_warning(&relay.stop().events());
    without_home(&env, env.qshare(&["parts", "--json"])).run().expect(0);
    without_home(&env, env.qshare(&["shares", "--json"])).run().expect_error(6, "disk", "cannot create the folder");
}
