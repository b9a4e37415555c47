//! The help of all commands at a terminal of 80 columns. The expected text is in `tests/it/snapshots`.
//!
//! After an intended change, run `INSTA_UPDATE=always cargo test --test it help::` and review the difference.

use insta::assert_snapshot;

use crate::support::TestEnv;

/// Returns what a terminal of 80 columns shows.
fn shown(env: &TestEnv, args: &[&str]) -> String {
    let (help, _keyboard) = env.qshare(args).env("NO_COLOR", "1").start_on_a_screen(80);
    help.end().expect(0).stderr.replace('\r', "")
}

/// Returns the commands that a help lists, except `help` itself.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let after_heading = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let lines = after_heading.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    names.filter(|name| *name != "help")
}

/// Appends the help of a command and of the commands below it.
fn append(whole: &mut String, env: &TestEnv, command: &[&str]) {
    let help = shown(env, &[command, &["--help"]].concat());
    assert_eq!(help, shown(env, &[command, &["-h"]].concat()), "-h and --help show the same");
    for line in help.lines() {
        assert!(line.chars().count() <= 80 && line == line.trim_end(), "{line}");
    }
    whole.push_str(&format!("$ {} --help\n{help}\n", [&["qshare"], command].concat().join(" ")));
    for name in commands(&help) {
        append(whole, env, &[command, &[name]].concat());
    }
}

#[test]
fn the_whole_help() {
    let mut whole = String::new();
    append(&mut whole, &TestEnv::new(), &[]);
    assert!(whole.contains("$ qshare shares forget --help"), "{whole}");
    assert_snapshot!("help", whole);
}
