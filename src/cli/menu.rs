//! Bare `qshare` at a terminal: a short menu for those who do not want to read the help.

mod pasted;

use std::{ffi::OsString, io, path::PathBuf};

pub use self::pasted::parse_pasted;
use crate::{
    code::{Code, Link},
    error::Error,
    ui::prompt,
};

const FIRST: &str = "  1  send a file or folder\n  2  receive\n  q  quit\n> ";

/// How often a question is asked.
const ATTEMPTS: usize = 3;

/// What the user wants. It may hold a code, so it has no Debug form.
#[derive(PartialEq, Eq)]
pub enum Choice {
    /// Share these.
    Send(Vec<PathBuf>),
    /// Download what this code or link stands for.
    Receive(String),
    /// Nothing.
    Quit,
}

impl Choice {
    /// The command line that does the same, for [`super::args::parse_from`]; `None` to quit.
    pub fn words(self) -> Option<Vec<OsString>> {
        let (command, rest): (&str, Vec<OsString>) = match self {
            Self::Send(paths) => ("send", paths.into_iter().map(PathBuf::into_os_string).collect()),
            Self::Receive(code) => ("recv", vec![code.into()]),
            Self::Quit => return None,
        };
        Some(["qshare", command, "--"].map(OsString::from).into_iter().chain(rest).collect())
    }
}

/// Shows the menu and asks until it is clear what is wanted. Blocks.
///
/// # Errors
/// Standard input cannot be read.
pub fn run() -> io::Result<Choice> {
    choose(&mut |text| prompt::ask_line(text))
}

type Ask<'a> = dyn FnMut(&str) -> io::Result<Option<String>> + 'a;

fn choose(ask: &mut Ask) -> io::Result<Choice> {
    let mut complaint = "";
    for _ in 0..ATTEMPTS {
        let Some(answer) = ask(&format!("{complaint}{FIRST}"))? else { break };
        match answer.trim() {
            "1" => return ask_paths(ask),
            "2" => return ask_code(ask),
            "q" | "Q" => return Ok(Choice::Quit),
            text => match recognize(text) {
                Some(choice) => return Ok(choice),
                None => complaint = "Please type 1, 2 or q.\n",
            },
        }
    }
    Ok(Choice::Quit)
}

/// A code, a link or paths in the place of a number; only where it can be nothing else.
fn recognize(text: &str) -> Option<Choice> {
    if Link::has_scheme(text) {
        return Link::parse(text).is_ok().then(|| Choice::Receive(text.to_owned()));
    }
    let paths = parse_pasted(text);
    let all_exist = !paths.is_empty() && paths.iter().all(|path| path.exists());
    match (Code::parse(text).is_ok(), all_exist) {
        (true, false) => Some(Choice::Receive(text.to_owned())),
        (false, true) => Some(Choice::Send(paths)),
        _ => None,
    }
}

fn ask_paths(ask: &mut Ask) -> io::Result<Choice> {
    for _ in 0..ATTEMPTS {
        let Some(answer) = ask("Drag a file or folder here and press Enter:\n> ")? else { break };
        let paths = parse_pasted(&answer);
        if !paths.is_empty() {
            return Ok(Choice::Send(paths)); // one that does not exist is named when it is read
        }
    }
    Ok(Choice::Quit)
}

fn ask_code(ask: &mut Ask) -> io::Result<Choice> {
    let mut complaint = String::new();
    for _ in 0..ATTEMPTS {
        let Some(answer) = ask(&format!("{complaint}Code or link: "))? else { break };
        match check_code(answer.trim()) {
            Ok(()) => return Ok(Choice::Receive(answer.trim().to_owned())),
            Err(e) => {
                let hint = e.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
                complaint = format!("{}{hint}\n", e.message());
            }
        }
    }
    Ok(Choice::Quit)
}

fn check_code(text: &str) -> Result<(), Error> {
    if Link::has_scheme(text) { Link::parse(text).map(drop) } else { text.parse::<Code>().map(drop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the menu with these answers; what it asked comes with what it chose.
    fn run_with(answers: &[&str]) -> (Choice, Vec<String>) {
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        let choice = choose(&mut |text| {
            asked.push(text.to_owned());
            Ok(answers.next().map(ToString::to_string))
        });
        (choice.unwrap(), asked)
    }

    fn chosen(answers: &[&str]) -> Choice {
        run_with(answers).0
    }

    #[test]
    fn numbers_lead_to_the_second_question() {
        assert!(chosen(&["1", "'a b' c"]) == Choice::Send(vec!["a b".into(), "c".into()]));
        assert!(chosen(&["1", " ", "x"]) == Choice::Send(vec!["x".into()]));
        assert!(chosen(&[" 2 ", " xky9 7hq2me "]) == Choice::Receive("xky9 7hq2me".into()));
        let (choice, asked) = run_with(&["1", "x"]);
        assert!(choice == Choice::Send(vec!["x".into()]));
        assert!(asked[1].contains("Drag a file or folder here and press Enter:"));
    }

    #[test]
    fn a_typo_in_the_code_is_asked_again() {
        let (choice, asked) = run_with(&["2", "XKY9-7HQ2MF", "XKY9-7HQ2ME"]);
        assert!(choice == Choice::Receive("XKY9-7HQ2ME".into()));
        assert!(asked[2].contains("typo"), "{asked:?}");
        assert!(chosen(&["2", "a", "b", "c", "XKY9-7HQ2ME"]) == Choice::Quit);
    }

    #[test]
    fn leaving_and_giving_up() {
        for answers in [&["q"][..], &["Q"], &[], &["1"], &["2"], &["x?", "y?", "z?", "1"]] {
            assert!(chosen(answers) == Choice::Quit, "{answers:?}");
        }
        let (_, asked) = run_with(&["x?", "q"]);
        assert!(!asked[0].contains("Please") && asked[1].starts_with("Please type 1, 2 or q."));
    }

    #[test]
    fn what_is_unmistakable_needs_no_number() {
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
    fn a_choice_is_a_command_line() {
        let words = Choice::Send(vec!["-odd".into(), "b".into()]).words().unwrap();
        assert_eq!(words, ["qshare", "send", "--", "-odd", "b"]);
        assert_eq!(Choice::Receive("c".into()).words().unwrap(), ["qshare", "recv", "--", "c"]);
        assert_eq!(Choice::Quit.words(), None);
    }
}
