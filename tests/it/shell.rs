//! Completions and the manual page, as shells and formatters read them. A program that is not installed is skipped with
//! a notice.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::TestEnv;

/// The commands that completions and the manual page must contain.
const COMMANDS: [&str; 7] = ["send", "recv", "relay", "shares", "parts", "completions", "man"];

/// Runs a program in a folder that is its home, and returns its output and its errors; `None` if it is not installed.
fn run(home: &Path, program: &str, args: &[&str]) -> Option<(String, String)> {
    let mut command = Command::new(program);
    command.args(args).current_dir(home).env("HOME", home).env_remove("ZDOTDIR").stdin(Stdio::null());
    let Ok(output) = command.output() else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program}: {stdout}{stderr}");
    Some((stdout, stderr))
}

/// Loads the completions in a shell, and runs a script that completes `qshare se` and `qshare send --onc`.
fn complete_in(shell: &str, args: &[&str], script: &str) {
    let env = TestEnv::new();
    let home = env.folder("shell");
    let completions = env.qshare(&["completions", shell]).run().expect(0);
    fs::write(home.join("completions"), &completions.stdout).unwrap();
    if let Some((stdout, stderr)) = run(&home, shell, &[args, &["-c", script]].concat()) {
        assert!(stdout.contains("send") && stdout.contains("--once"), "{shell}: {stdout}{stderr}");
        assert_eq!(stderr, "", "{shell}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let complete =
        r#"COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qshare qshare "${COMP_WORDS[COMP_CWORD]}"; echo "${COMPREPLY[@]}""#;
    let script = format!(
        ". ./completions && complete -p qshare >/dev/null && COMP_WORDS=(qshare se) && {complete} \
         && COMP_WORDS=(qshare send --onc) && {complete}"
    );
    complete_in("bash", &["--norc", "--noprofile"], &script);
}

/// Zsh completes at a terminal only, so its own functions take the place of the ones that show the matches.
#[test]
fn zsh_completes_commands_and_options() {
    let script = "autoload -Uz compinit && compinit -D -u && . ./completions && [[ $_comps[qshare] == _qshare ]] \
                  && _describe() { print -rl -- ${(P)@[-1]} } && _qshare_commands && functions _qshare";
    complete_in("zsh", &["-f"], script);
}

#[test]
fn fish_completes_commands_and_options() {
    let script = "source ./completions; and complete -C 'qshare se'; and complete -C 'qshare send --onc'";
    complete_in("fish", &["--no-config"], script);
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    let env = TestEnv::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = env.qshare(&["completions", shell]).run().expect(0).stdout;
        let script = String::from_utf8(script).unwrap();
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
    env.qshare(&["completions", "csh"]).run().expect(2);
    env.qshare(&["completions"]).run().expect(2);
}

#[test]
fn the_manual_page_has_all_commands_and_options_and_no_formatter_warns_of_it() {
    let env = TestEnv::new();
    let page = String::from_utf8(env.qshare(&["man"]).run().expect(0).stdout).unwrap();
    assert!(page.is_ascii(), "formatters disagree about other characters");
    for command in COMMANDS {
        assert!(page.contains(&format!(".SH \"QSHARE {}\"", command.to_uppercase())), "{command}: {page}");
    }
    for part in [
        ".SH \"QSHARE SHARES FORGET\"",
        "\\-\\-max\\-downloads",
        "QSHARE_RELAY",
        "EXIT CODES",
        "[possible values: auto",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let home = env.folder("man");
    fs::write(home.join("qshare.1"), &page).unwrap();
    if let Some(warnings) = run(&home, "mandoc", &["-T", "lint", "-W", "warning", "qshare.1"]) {
        assert_eq!(warnings, Default::default());
    }
    if let Some((_, warnings)) = run(&home, "groff", &["-man", "-ww", "-z", "-Tutf8", "qshare.1"]) {
        assert_eq!(warnings, "");
    }
}

#[test]
fn neither_needs_a_home_nor_a_reader() {
    let env = TestEnv::new();
    for args in [&["man"][..], &["completions", "bash"]] {
        let mut command = env.qshare(args).into_command();
        let mut child = command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take()); // usually before anything is written
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{args:?}");
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = env.qshare(args).into_command().stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && stderr.contains("cannot write to standard output"), "{stderr}");
    }
    assert!(!env.state().exists());
}
