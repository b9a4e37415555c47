//! The menu of bare `qshare` at a terminal, for users who do not want to read the help.

mod pasted_paths;

use std::{ffi::OsString, io, path::PathBuf};

pub(crate) use self::pasted_paths::parse_pasted_paths;
use super::shared_paths;
use crate::{
    code::{CodeOrLink, Link},
    error::{Error, Kind},
    text::visible,
    ui::prompt,
};

const MENU: &str = "  1  Send files or folders\n  2  Receive\n  q  Quit\n> ";

/// After this many answers that were not understood, the menu says where to find help.
const ERRORS_BEFORE_HELP: usize = 3;

/// The user's choice. It may contain a code, so the type has no `Debug` form.
#[derive(PartialEq, Eq)]
pub(crate) enum Choice {
    /// Share these paths.
    Send(Vec<PathBuf>),
    /// Download this code or link.
    Receive(String),
    /// Do nothing.
    Quit,
}

impl Choice {
    /// Returns the equivalent command line, for [`super::args::parse_from`]; `None` to quit.
    pub(crate) fn into_words(self) -> Option<Vec<OsString>> {
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
pub(crate) fn run() -> io::Result<Choice> {
    choose(&mut |text| prompt::ask_line(text))
}

/// Shows a prompt and returns the answer; `None` at the end of input.
type Ask<'a> = dyn FnMut(&str) -> io::Result<Option<String>> + 'a;

fn choose(ask: &mut Ask) -> io::Result<Choice> {
    ask_until_clear(ask, MENU, |ask, answer| match answer {
        "1" => ask_paths(ask),
        "2" => ask_code(ask),
        _ => Ok(recognize(answer)),
    })
}

fn ask_paths(ask: &mut Ask) -> io::Result<Parsed> {
    let choice = ask_until_clear(ask, "Drag a file or folder here and press Enter:\n> ", |_, answer| {
        Ok(to_paths(answer).map(Choice::Send))
    });
    choice.map(Ok)
}

fn ask_code(ask: &mut Ask) -> io::Result<Parsed> {
    let choice = ask_until_clear(ask, "Code or link: ", |_, answer| Ok(to_code(answer).map(Choice::Receive)));
    choice.map(Ok)
}

/// A choice, or what is wrong with the answer.
type Parsed = Result<Choice, Error>;

/// Asks until the answer is clear, or the user quits with `q` or the end of input.
fn ask_until_clear(
    ask: &mut Ask,
    question: &str,
    mut parse: impl FnMut(&mut Ask, &str) -> io::Result<Parsed>,
) -> io::Result<Choice> {
    let mut complaint = String::new();
    for errors in 1.. {
        let Some(answer) = ask(&format!("{complaint}{question}"))? else { break };
        let answer = answer.trim();
        if matches!(answer, "q" | "Q") {
            break;
        }
        match parse(ask, answer)? {
            Ok(choice) => return Ok(choice),
            Err(e) => complaint = explain(&e, errors >= ERRORS_BEFORE_HELP),
        }
    }
    Ok(Choice::Quit)
}

fn explain(e: &Error, with_help: bool) -> String {
    let hint = e.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let help = if with_help { "To quit, type q. For help, run qshare --help.\n" } else { "" };
    format!("{}{hint}\n{help}", e.message())
}

/// Recognizes a code, a link or paths that were typed instead of a number, unless they are ambiguous.
fn recognize(text: &str) -> Parsed {
    let numbers = || Error::new(Kind::Usage, "Type 1, 2 or q.");
    match (to_code(text), to_paths(text)) {
        _ if text.is_empty() => Err(numbers()),
        (Ok(_), Ok(_)) => {
            Err(Error::new(Kind::Usage, "This is a file and a code. Type 1 to send it, or 2 to receive."))
        }
        (Ok(code), Err(_)) => Ok(Choice::Receive(code)),
        (Err(_), Ok(paths)) => Ok(Choice::Send(paths)),
        (Err(_), Err(e)) if text.contains(['/', '\\']) && !Link::has_scheme(text) => Err(e),
        (Err(e), Err(_)) if text.len() > 3 => Err(e),
        _ => Err(numbers()),
    }
}

fn to_code(text: &str) -> Result<String, Error> {
    CodeOrLink::parse(text).map(|_| text.to_owned())
}

fn to_paths(text: &str) -> Result<Vec<PathBuf>, Error> {
    let paths = parse_pasted_paths(text);
    if paths.is_empty() {
        return Err(Error::new(Kind::Usage, "Type a path, or q to quit."));
    }
    shared_paths::check(&paths)?;
    match paths.iter().find(|path| path.symlink_metadata().is_err()) {
        Some(missing) => {
            Err(Error::new(Kind::Usage, format!("{} does not exist", visible(&missing.to_string_lossy()))))
        }
        None => Ok(paths),
    }
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
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::write(path("a b"), "").unwrap();
        std::fs::write(path("c"), "").unwrap();
        let typed = format!("'{}' {}", path("a b").display(), path("c").display());
        assert!(chosen(&["1", &typed]) == Choice::Send(vec![path("a b"), path("c")]));
        assert!(chosen(&[" 2 ", " xky9 7hq2me "]) == Choice::Receive("xky9 7hq2me".into()));
        let (_, prompts) = run_with(&["1"]);
        assert!(prompts[1].contains("Drag a file or folder here and press Enter:"));
    }

    #[test]
    fn a_mistake_is_explained_and_the_question_repeated() {
        let wrong = ["2", "XKY9-7HQ2MF", "a", "b", "c", "XKY9-7HQ2ME"];
        let (choice, prompts) = run_with(&wrong);
        assert!(choice == Choice::Receive("XKY9-7HQ2ME".into()));
        assert!(prompts[2].contains("typo") && !prompts[2].contains("--help"), "{prompts:?}");
        assert!(prompts[4].contains("To quit, type q. For help, run qshare --help."), "{prompts:?}");
        let (choice, prompts) = run_with(&["1", " ", "/no/such", "https://example.com", "q", "1"]);
        assert!(choice == Choice::Quit && prompts.len() == 5, "{prompts:?}");
        assert!(prompts[2].starts_with("Type a path, or q"), "{prompts:?}");
        assert!(prompts[3].starts_with("/no/such does not exist\n"), "{prompts:?}");
        assert!(prompts[4].starts_with("https://example.com is a web address"), "{prompts:?}");
    }

    #[test]
    fn only_q_and_the_end_of_input_quit() {
        for answers in [&["q"][..], &["Q"], &[], &["1"], &["2"], &["1", "q"], &["2", "Q"]] {
            assert!(chosen(answers) == Choice::Quit, "{answers:?}");
        }
        let (choice, prompts) = run_with(&["x", "", "3", "XKY9-7HQ2MF", "/no/such", "XKY9-7HQ2ME"]);
        assert!(choice == Choice::Receive("XKY9-7HQ2ME".into()));
        assert!(!prompts[0].contains("Type 1") && prompts[1].starts_with("Type 1, 2 or q.\n"), "{prompts:?}");
        assert!(prompts[3].contains("For help"), "{prompts:?}");
        assert!(prompts[4].contains("typo") && prompts[5].starts_with("/no/such does not exist"), "{prompts:?}");
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
