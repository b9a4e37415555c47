//! The menu of bare `qshare` at a terminal, for users who do not want to read the help.

mod pasted_paths;

use std::{ffi::OsString, io, path::PathBuf};

pub use self::pasted_paths::parse_pasted_paths;
use crate::{code::CodeOrLink, ui::prompt};

const MENU: &str = "  1  Send files or folders\n  2  Receive\n  q  Quit\n> ";

/// How many times each question is asked.
const MAX_ATTEMPTS: usize = 3;

/// The user's choice. It may contain a code, so the type has no `Debug` form.
#[derive(PartialEq, Eq)]
pub enum Choice {
    /// Share these paths.
    Send(Vec<PathBuf>),
    /// Download this code or link.
    Receive(String),
    /// Do nothing.
    Quit,
}

impl Choice {
    /// Returns the equivalent command line, for [`super::args::parse_from`]; `None` to quit.
    pub fn into_words(self) -> Option<Vec<OsString>> {
        let (command, arguments): (&str, Vec<OsString>) = match self {
            Self::Send(paths) => ("send", paths.into_iter().map(PathBuf::into_os_string).collect()),
            Self::Receive(code) => ("recv", vec![code.into()]),
            Self::Quit => return None,
        };
        Some(["qshare", command, "--"].map(OsString::from).into_iter().chain(arguments).collect())
    }
}

/// Shows the menu and asks until the user has chosen. Blocks.
///
/// # Errors
/// Standard input cannot be read.
pub fn run() -> io::Result<Choice> {
    choose(&mut |text| prompt::ask_line(text))
}

/// Shows a prompt and returns the answer; `None` at the end of input.
type Ask<'a> = dyn FnMut(&str) -> io::Result<Option<String>> + 'a;

fn choose(ask: &mut Ask) -> io::Result<Choice> {
    let mut complaint = "";
    for _ in 0..MAX_ATTEMPTS {
        let Some(answer) = ask(&format!("{complaint}{MENU}"))? else { break };
        match answer.trim() {
            "1" => return ask_paths(ask),
            "2" => return ask_code(ask),
            "q" | "Q" => return Ok(Choice::Quit),
            text => match recognize(text) {
                Some(choice) => return Ok(choice),
                None => complaint = "Type 1, 2 or q.\n",
            },
        }
    }
    Ok(Choice::Quit)
}

/// Recognizes a code, a link or paths that were typed instead of a number, unless they are ambiguous.
fn recognize(text: &str) -> Option<Choice> {
    let paths = parse_pasted_paths(text);
    let all_exist = !paths.is_empty() && paths.iter().all(|path| path.exists());
    match (CodeOrLink::parse(text).is_ok(), all_exist) {
        (true, false) => Some(Choice::Receive(text.to_owned())),
        (false, true) => Some(Choice::Send(paths)),
        _ => None,
    }
}

fn ask_paths(ask: &mut Ask) -> io::Result<Choice> {
    for _ in 0..MAX_ATTEMPTS {
        let Some(answer) = ask("Drag a file or folder here and press Enter:\n> ")? else { break };
        let paths = parse_pasted_paths(&answer);
        if !paths.is_empty() {
            return Ok(Choice::Send(paths)); // the scan reports missing paths
        }
    }
    Ok(Choice::Quit)
}

fn ask_code(ask: &mut Ask) -> io::Result<Choice> {
    let mut complaint = String::new();
    for _ in 0..MAX_ATTEMPTS {
        let Some(answer) = ask(&format!("{complaint}Code or link: "))? else { break };
        match CodeOrLink::parse(&answer) {
            Ok(_) => return Ok(Choice::Receive(answer.trim().to_owned())),
            Err(e) => {
                let hint = e.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
                complaint = format!("{}{hint}\n", e.message());
            }
        }
    }
    Ok(Choice::Quit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the menu with these answers; returns the choice and the prompts.
    fn run_with(answers: &[&str]) -> (Choice, Vec<String>) {
        let mut prompts = Vec::new();
        let mut answers = answers.iter();
        let choice = choose(&mut |text| {
            prompts.push(text.to_owned());
            Ok(answers.next().map(ToString::to_string))
        });
        (choice.unwrap(), prompts)
    }

    fn chosen(answers: &[&str]) -> Choice {
        run_with(answers).0
    }

    #[test]
    fn numbers_lead_to_the_second_prompt() {
        assert!(chosen(&["1", "'a b' c"]) == Choice::Send(vec!["a b".into(), "c".into()]));
        assert!(chosen(&["1", " ", "x"]) == Choice::Send(vec!["x".into()]));
        assert!(chosen(&[" 2 ", " xky9 7hq2me "]) == Choice::Receive("xky9 7hq2me".into()));
        let (choice, prompts) = run_with(&["1", "x"]);
        assert!(choice == Choice::Send(vec!["x".into()]));
        assert!(prompts[1].contains("Drag a file or folder here and press Enter:"));
    }

    #[test]
    fn the_question_for_the_code_is_repeated_after_a_typo() {
        let (choice, prompts) = run_with(&["2", "XKY9-7HQ2MF", "XKY9-7HQ2ME"]);
        assert!(choice == Choice::Receive("XKY9-7HQ2ME".into()));
        assert!(prompts[2].contains("typo"), "{prompts:?}");
        assert!(chosen(&["2", "a", "b", "c", "XKY9-7HQ2ME"]) == Choice::Quit);
    }

    #[test]
    fn the_menu_quits_on_request_and_after_three_wrong_answers() {
        for answers in [&["q"][..], &["Q"], &[], &["1"], &["2"], &["x?", "y?", "z?", "1"]] {
            assert!(chosen(answers) == Choice::Quit, "{answers:?}");
        }
        let (_, prompts) = run_with(&["x?", "q"]);
        assert!(!prompts[0].contains("Type 1") && prompts[1].starts_with("Type 1, 2 or q."));
    }

    #[test]
    fn codes_links_and_existing_paths_need_no_number() {
        assert!(chosen(&["XKY9-7HQ2ME"]) == Choice::Receive("XKY9-7HQ2ME".into()));
        let link = "qshare://relay.example/XKY9-7HQ2ME";
        assert!(chosen(&[link]) == Choice::Receive(link.into()));
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a b");
        std::fs::write(&path, "x").unwrap();
        assert!(chosen(&[&format!("'{}' ", path.display())]) == Choice::Send(vec![path]));
        assert!(chosen(&["/does/not/exist"]) == Choice::Quit);
    }

    #[test]
    fn a_choice_becomes_a_command_line() {
        let words = Choice::Send(vec!["-odd".into(), "b".into()]).into_words().unwrap();
        assert_eq!(words, ["qshare", "send", "--", "-odd", "b"]);
        assert_eq!(Choice::Receive("c".into()).into_words().unwrap(), ["qshare", "recv", "--", "c"]);
        assert_eq!(Choice::Quit.into_words(), None);
    }
}
