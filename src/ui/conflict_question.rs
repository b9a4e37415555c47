//! The question what to do with a target that already exists.

use std::io;

use super::prompt;

/// What a download does with a target that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConflictAction {
    /// Replaces a file, and merges a folder.
    Overwrite,
    /// Saves under a new name.
    Rename,
    /// Keeps the target.
    Skip,
}

/// The answer to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConflictAnswer {
    /// The action.
    pub action: ConflictAction,
    /// Whether it applies to all further conflicts too.
    pub all: bool,
}

/// Asks what to do with `path`, which exists. `path` is printable, `is_folder` whether two folders would be merged, and
/// `others` the number of further conflicts. Returns `None` if the user declines the download; the end of input and the
/// third invalid answer do that too.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn ask_conflict(path: &str, is_folder: bool, others: usize) -> io::Result<Option<ConflictAnswer>> {
    let question = question(path, is_folder, others);
    Ok(prompt::ask(&question, |answer| parse(answer, others))?.flatten())
}

fn question(path: &str, is_folder: bool, others: usize) -> String {
    let overwrite = if is_folder { "[m]erge" } else { "[o]verwrite" };
    let all = match others {
        0 => String::new(),
        1 => "; a capital letter for both".to_owned(),
        n => format!("; a capital letter for all {}", n + 1),
    };
    format!("{path} already exists.\n{overwrite}, [r]ename, [s]kip or [q]uit{all}: ")
}

/// Returns the meaning of an answer: `Some(None)` declines, and `None` is no answer.
fn parse(answer: &str, others: usize) -> Option<Option<ConflictAnswer>> {
    let action = match answer.to_lowercase().as_str() {
        "o" | "overwrite" | "m" | "merge" => ConflictAction::Overwrite,
        "r" | "rename" => ConflictAction::Rename,
        "s" | "skip" => ConflictAction::Skip,
        "q" | "quit" => return Some(None),
        _ => return None,
    };
    let all = others > 0 && answer.chars().all(char::is_uppercase);
    Some(Some(ConflictAnswer { action, all }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_names_what_exists_and_the_choices() {
        assert_eq!(
            question("in/a.txt", false, 0),
            "in/a.txt already exists.\n[o]verwrite, [r]ename, [s]kip or [q]uit: "
        );
        let several = question("in/d", true, 2);
        assert_eq!(several, "in/d already exists.\n[m]erge, [r]ename, [s]kip or [q]uit; a capital letter for all 3: ");
        assert!(several.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_capital_letter_is_for_all() {
        let answer = |text, others| parse(text, others);
        let action = |action, all| Some(Some(ConflictAnswer { action, all }));
        assert_eq!(answer("o", 3), action(ConflictAction::Overwrite, false));
        assert_eq!(answer("merge", 3), action(ConflictAction::Overwrite, false));
        assert_eq!(answer("R", 3), action(ConflictAction::Rename, true));
        assert_eq!(answer("SKIP", 1), action(ConflictAction::Skip, true));
        assert_eq!(answer("S", 0), action(ConflictAction::Skip, false));
        assert_eq!(answer("q", 0), Some(None));
        assert_eq!((answer("", 0), answer("y", 0), answer("over", 0)), (None, None, None));
    }
}
