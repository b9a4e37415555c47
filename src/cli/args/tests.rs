//! Tests of the whole command line.

use std::{path::PathBuf, time::Duration};

use clap::error::ErrorKind;

use super::{
    usage_error::{first_paragraph, translate},
    *,
};
use crate::{
    code::RelayChoice,
    relay::{Limits, RelayLimit},
};

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn good(line: &str) -> Args {
    try_parse(&words(line)).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn bad(line: &str) -> clap::Error {
    try_parse(&words(line)).err().unwrap_or_else(|| panic!("{line} is accepted"))
}

fn send(line: &str) -> SendArgs {
    match good(line).command {
        Some(Command::Send(args)) => args,
        _ => panic!("{line} is not send"),
    }
}

fn recv(line: &str) -> RecvArgs {
    match good(line).command {
        Some(Command::Recv(args)) => args,
        _ => panic!("{line} is not recv"),
    }
}

#[test]
fn clap_accepts_the_definition() {
    Args::command().debug_assert();
}

#[test]
fn the_version_is_that_of_the_package_with_the_commit() {
    let version = Args::command().get_version().unwrap().to_owned();
    let commit = version.strip_prefix(env!("CARGO_PKG_VERSION")).unwrap();
    assert!(commit.is_empty() || (commit.starts_with(" (") && commit.ends_with(')')), "{version}");
}

#[test]
fn the_command_is_optional() {
    assert!(good("qshare").command.is_none());
}

#[test]
fn relay_has_a_default_address() {
    let Some(Command::Relay(args)) = good("qshare relay").command else { panic!("not relay") };
    assert_eq!((args.listen, args.certs), ("[::]:4433".parse().unwrap(), None));
    let Some(Command::Relay(args)) = good("qshare relay --listen 127.0.0.1:0 --certs c").command else {
        panic!("not relay")
    };
    assert_eq!((args.listen.port(), args.certs), (0, Some("c".into())));
}

#[test]
fn relay_accepts_its_limits() {
    let Some(Command::Relay(args)) = good("qshare relay").command else { panic!("not relay") };
    assert_eq!((args.memory, args.limits(), args.limit_loopback), (1 << 30, Some(Limits::default()), false));
    let line = "qshare relay --memory 64MiB --limit slots=5 --limit misses=1 --limit slots=6 --limit-loopback";
    let Some(Command::Relay(args)) = good(line).command else { panic!("not relay") };
    let limits = Limits::default().with(RelayLimit::Misses, 1).with(RelayLimit::Slots, 6);
    assert_eq!((args.memory, args.limits(), args.limit_loopback), (64 << 20, Some(limits), true));
    let Some(Command::Relay(args)) = good("qshare relay --limit slots=1 --limit help").command else {
        panic!("not relay")
    };
    assert_eq!(args.limits(), None);
    for line in ["--limit slot=5", "--limit slots=x", "--limit slots", "--memory 0", "--memory 1kB", "--memory much"] {
        assert_eq!(bad(&format!("qshare relay {line}")).exit_code(), 2, "{line}");
    }
    let error = translate(&bad("qshare relay --limit slot=5")).unwrap();
    assert_eq!(error.message(), "--limit: there is no limit “slot”");
    assert!(error.hint_text().unwrap().contains("slots, "), "{error:?}");
}

#[test]
fn send_accepts_its_options() {
    let args = send("qshare send a b - --relay relay.example --expire 2h --code-length 12 --name n --qr");
    assert_eq!(args.paths, ["a", "b", "-"].map(PathBuf::from));
    assert_eq!(args.relay, Some("relay.example:4433".parse().unwrap()));
    assert_eq!(send("qshare send a --relay none").relay, Some(RelayChoice::None));
    assert_eq!(args.expire, Some(Duration::from_secs(7_200)));
    assert_eq!((args.code_length, args.name.as_deref(), args.qr), (Some(12), Some("n"), true));
    assert_eq!(send("qshare send --max-downloads 3 a").max_downloads, Some(3));
    assert_eq!(send("qshare send --once -- --odd").paths, [PathBuf::from("--odd")]);
    for line in [
        "qshare send",
        "qshare send --once --max-downloads 2 a",
        "qshare send --max-downloads 0 a",
        "qshare send --code-length 6 a",
        "qshare send --expire 0s a",
        "qshare send --expire soon a",
        "qshare send --expire 300000000000years a",
        "qshare recv --retry-for 1001years a",
        "qshare send --keep a",
    ] {
        assert_eq!(bad(line).exit_code(), 2, "{line}");
    }
}

#[test]
fn recv_accepts_its_options() {
    let args = recv("qshare receive XKY9-7HQ2ME -y --out d --rename --list");
    assert_eq!(args.code.as_deref(), Some("XKY9-7HQ2ME"));
    assert!(args.yes && args.rename && args.list && !args.overwrite && !args.skip);
    assert_eq!(args.out, Some("d".into()));
    assert_eq!(recv("qshare recv c --out -").out, Some("-".into()));
    for two in ["--overwrite --rename", "--overwrite --skip", "--rename --skip"] {
        assert_eq!(bad(&format!("qshare recv c {two}")).kind(), ErrorKind::ArgumentConflict);
    }
}

#[test]
fn global_options_are_accepted_anywhere() {
    for line in ["qshare --json --quiet -vv --no-color recv c", "qshare recv c --json --quiet -v -v --no-color"] {
        let GlobalArgs { json, quiet, verbose, no_color } = good(line).global;
        assert!(json && quiet && no_color && verbose == 2, "{line}");
    }
    assert!(!good("qshare recv c").global.json);
}

#[test]
fn errors_of_value_parsers_name_the_option_and_include_the_hint() {
    let error = translate(&bad("qshare send --relay a:b x")).unwrap();
    assert_eq!(error.message(), "--relay: invalid relay address “a:b”");
    assert_eq!(error.hint_text(), Some("use HOST, HOST:PORT or [IPV6]:PORT"));
    let error = translate(&bad("qshare send --expire soon x")).unwrap();
    assert!(error.message().starts_with("--expire: invalid duration"), "{error}");
}

#[test]
fn errors_do_not_repeat_a_misplaced_code() {
    for line in ["qshare XKY9-7HQ2ME", "qshare qshare://h/XKY9-7HQ2ME", "qshare recv XKY9 7HQ2ME"] {
        let error = translate(&bad(line)).unwrap();
        assert!(!error.message().contains("7HQ2M"), "{error}");
    }
    assert_eq!(translate(&bad("qshare Cargo.toml")).unwrap().hint_text(), Some("qshare send PATH"));
}

#[test]
fn other_errors_become_one_sentence() {
    let error = first_paragraph(&bad("qshare recv c --frob"));
    assert_eq!(error.message(), "unexpected argument '--frob' found");
    let error = first_paragraph(&bad("qshare send"));
    assert_eq!(error.message(), "the following required arguments were not provided: <PATH>...");
}

#[test]
fn help_and_version_exit_with_0_and_mistakes_with_2() {
    assert_eq!(bad("qshare --help").exit_code(), 0);
    assert_eq!(bad("qshare --version").exit_code(), 0);
    assert_eq!(bad("qshare frob").exit_code(), 2);
}

#[test]
fn flags_are_found_in_words_that_cannot_be_parsed() {
    assert!(has_flag(&words("qshare frob --json"), "--json"));
    assert!(!has_flag(&words("qshare send -- --json"), "--json"));
}

#[test]
fn the_help_names_exit_codes_and_hides_secrets() {
    let help = Args::command().render_long_help().to_string();
    for part in ["Examples:", "Exit codes:", "130  interrupted", "--no-color", "--version"] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
    for name in ["QSHARE_CODE", "QSHARE_RELAY"] {
        let hidden = Args::command()
            .get_subcommands()
            .flat_map(|c| c.get_arguments().cloned())
            .all(|arg| arg.get_env().is_none_or(|env| env != name) || arg.is_hide_env_values_set());
        assert!(hidden, "{name}");
    }
}

/// The help of every command at 80 and 50 columns. A line that is too long would be broken by the terminal, in the
/// middle of a word.
#[test]
fn every_help_fits_80_and_50_columns() {
    for columns in [80, 50] {
        for line in ["", " send", " recv", " relay", " shares", " shares forget", " parts", " completions", " man"] {
            let mut command = Args::command().term_width(columns).max_term_width(columns);
            let help = command.try_get_matches_from_mut(words(&format!("qshare{line} --help"))).unwrap_err();
            let help = help.render().to_string();
            let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > columns).collect();
            assert!(wide.is_empty(), "{line} at {columns}: {wide:#?}");
        }
    }
    assert!(EXAMPLES.lines().all(|line| line.len() <= 50), "examples and exit codes would wrap");
}
