//! `qshare config` and `qshare doctor`: the settings, where they come from, and what works from here.

use serde_json::Value;

use crate::support::{ProcessOutput, TestEnv};

/// Returns value and source of a setting in the output of `config show`.
fn setting(shown: &ProcessOutput, name: &str) -> (String, String) {
    let event = shown.event("config");
    let found = event["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).cloned().unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("value"), text("origin"))
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn every_setting_has_an_origin() {
    let env = TestEnv::new();
    let show = |args: &[&str]| env.qshare(&["config", "show", "--json"]).args(args);
    let defaults = show(&[]).env("QSHARE_LAN", "").run().expect(0);
    for (name, value) in [
        ("relay", "none"),
        ("out", "the current folder"),
        ("limit-up", "unlimited"),
        ("limit-down", "unlimited"),
        ("lan", "on"),
        ("congestion", "auto"),
    ] {
        assert_eq!(setting(&defaults, name), pair(value, "default"));
    }
    let path = env.qshare(&["config", "path"]).run().expect(0);
    assert_eq!(path.text().trim_end(), env.path("home/config/qshare/config.toml").to_str().unwrap());
    env.file(
        "home/config/qshare/config.toml",
        "relay = \"relay.example\"\nout = \"~/in\"\nlimit-up = \"2MB\"\nlimit-down = \"1MB\"\nlan = false\n\
         congestion = \"cubic\"\n",
    );
    let from_file = show(&[]).env("QSHARE_LAN", "").run().expect(0);
    let into = env.path("home/in");
    for (name, value) in [
        ("relay", "relay.example:4433"),
        ("out", into.to_str().unwrap()),
        ("limit-up", "2.0 MB/s"),
        ("limit-down", "1.0 MB/s"),
        ("lan", "off"),
        ("congestion", "cubic"),
    ] {
        assert_eq!(setting(&from_file, name), pair(value, "file"));
    }
    let from_variables = show(&[]).env("QSHARE_LAN", "on").env("QSHARE_RELAY", "other.example").run().expect(0);
    assert_eq!(setting(&from_variables, "lan"), pair("on", "variable"));
    assert_eq!(setting(&from_variables, "relay"), pair("other.example:4433", "variable"));
    let flags = ["--relay", "none", "--no-lan", "--congestion", "bbr", "--limit-up", "3MB", "--out", "x"];
    let from_flags = show(&flags).env("QSHARE_RELAY", "other.example").run().expect(0);
    for (name, value) in
        [("relay", "none"), ("lan", "off"), ("congestion", "bbr"), ("limit-up", "3.0 MB/s"), ("out", "x")]
    {
        assert_eq!(setting(&from_flags, name), pair(value, "flag"));
    }
    let text = env.qshare(&["config", "show"]).run().expect(0).text();
    assert!(text.lines().any(|line| line.starts_with("lan ") && line.ends_with("(QSHARE_LAN)")), "{text}");
}

#[test]
fn a_mistake_in_the_file_is_an_error_that_names_it() {
    let env = TestEnv::new();
    for (text, part, hint) in [
        ("realy = \"a\"", "unknown setting “realy”", "did you mean relay?"),
        ("limit-up = \"fast\"", "limit-up: invalid rate", "500kB"),
        ("congestion = \"reno\"", "unknown congestion control “reno”", "auto, cubic or bbr"),
        ("out = \"in\"", "out: the path is not absolute", "~/Downloads"),
        ("relay = \"#\"", "relay:", ""),
        ("lan = 1", "config.toml", "the settings are relay, out"),
    ] {
        env.file("home/config/qshare/config.toml", text);
        let refused = env.qshare(&["config", "show", "--json"]).run();
        refused.expect_error(2, "usage", part);
        let e = refused.event("error");
        assert!(e["message"].as_str().unwrap().contains("config.toml"), "{e}");
        assert!(e["hint"].as_str().unwrap().contains(hint), "{text}: {e}");
    }
}

#[test]
fn downloads_go_to_the_configured_folder() {
    let env = TestEnv::new();
    let relay = env.relay();
    let into = env.folder("in");
    env.file("home/config/qshare/config.toml", format!("out = \"{}\"\n", into.display()));
    let sender = env.send(&[&env.file("a", "content")]).via(&relay).share();
    env.recv(sender.code(), &env.path("elsewhere")).via(&relay).run().expect(0);
    assert_eq!(std::fs::read(into.join("a")).unwrap(), b"content");
    env.recv(sender.code(), &env.path("elsewhere")).via(&relay).args(&["--out", "."]).run().expect(0);
    assert!(env.path("elsewhere/a").exists());
    let text = env.qshare(&["send", "--json", "--text", "hi"]).via(&relay).share();
    assert_eq!(env.qshare(&["recv", text.code()]).via(&relay).run().expect(0).text(), "hi", "a text is still shown");
}

/// Returns the results of all checks by name.
fn checks(output: &ProcessOutput) -> Vec<(String, String, Value)> {
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    output.all("check").iter().map(|check| (text(check, "name"), text(check, "status"), check.clone())).collect()
}

#[test]
fn the_doctor_checks_this_machine_and_the_relay() {
    let env = TestEnv::new();
    let relay = env.relay();
    let doctor = || env.qshare(&["doctor", "--json"]);
    let healthy = doctor().via(&relay).run();
    let results = checks(&healthy);
    let names: Vec<_> = results.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["configuration", "state folder", "clock", "UDP buffers", "local network", "relay"]);
    let (_, status, found) = results.last().unwrap();
    assert!(status == "ok" && found["detail"].as_str().unwrap().contains("and sees 127.0.0.1:"), "{found}");
    let has_warning = results.iter().any(|(_, status, _)| status == "warning");
    healthy.expect(i32::from(has_warning));

    let unreachable = doctor().args(&["--relay", "127.0.0.1:1"]).run().expect(5);
    let (_, status, found) = checks(&unreachable).pop().unwrap();
    assert!(status == "failed" && !found["hint"].is_null() && !found["cost"].is_null(), "{found}");
    let wrong_pin = format!("{}#{}", relay.addr, "A".repeat(43));
    doctor().args(&["--relay", &wrong_pin]).run().expect(5);

    let alone = doctor().env("XDG_STATE_HOME", "/proc").run().expect(1);
    let state = checks(&alone).into_iter().find(|(name, ..)| name == "state folder").unwrap();
    assert_eq!(state.1, "warning", "{}", state.2);
}
