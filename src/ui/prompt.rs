//! Questions: asked on standard error, answered on standard input.
//!
//! They block until the user presses Enter, so async callers ask from a separate thread. Text from the other side
//! must pass through [`crate::text::visible`] before it becomes part of a question. The caller waits until the display
//! has shown everything before it.

use std::io::{self, BufRead, IsTerminal as _, Read, Write};

use super::{human::terminal_size, phrase::wrapped};

/// The size limit of an answer in bytes; several dragged paths fit.
const MAX_LINE: u64 = 64 * 1024;

/// How many times a question is asked before the answer counts as no.
const MAX_ATTEMPTS: usize = 3;

/// Asks `QUESTION [Y/n]`. An empty answer is yes. The end of input is no, and so is the third answer that is neither.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn ask_yes_no(question: &str) -> io::Result<bool> {
    let answer = |text: &str| if text.is_empty() { Some(true) } else { parse_yes_no(text) };
    Ok(ask(&format!("{question} [Y/n] "), answer)?.unwrap_or(false))
}

/// Asks `QUESTION [y/n]` during a running command. An empty answer is invalid: the user may have pressed Enter before
/// the question appeared.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn ask_explicitly(question: &str) -> io::Result<bool> {
    Ok(ask(&format!("{question} [y/n] "), parse_yes_no)?.unwrap_or(false))
}

/// Asks until `parse` understands the answer. Returns `None` at the end of input and after three other answers. Input
/// that is older than the question is discarded, because it cannot be an answer.
///
/// # Errors
/// Standard input cannot be read.
pub(super) fn ask<T>(question: &str, parse: impl Fn(&str) -> Option<T>) -> io::Result<Option<T>> {
    discard_input();
    ask_until_clear(parse, || ask_line(question))
}

/// Discards what was typed or pasted so far, such as the line feed behind a pasted code.
fn discard_input() {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush); // fails without a terminal
}

/// Shows `prompt`, wrapped to the terminal, and reads a line, without its line feed. Returns `None` at the end of
/// input.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn ask_line(prompt: &str) -> io::Result<Option<String>> {
    show(&wrapped(prompt, terminal_size().0));
    let answer = read_line()?;
    if answer.is_none() {
        show("\n"); // the next output starts on a line of its own
    }
    Ok(answer)
}

fn ask_until_clear<T>(
    parse: impl Fn(&str) -> Option<T>,
    mut ask: impl FnMut() -> io::Result<Option<String>>,
) -> io::Result<Option<T>> {
    for _ in 0..MAX_ATTEMPTS {
        let Some(answer) = ask()? else { break };
        if let Some(meaning) = parse(answer.trim()) {
            return Ok(Some(meaning));
        }
    }
    Ok(None)
}

fn parse_yes_no(answer: &str) -> Option<bool> {
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

/// Writes text to standard error. Its failures are ignored.
pub(crate) fn show(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Reads a line from standard input, without its line feed. Returns `None` at the end of input.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn read_line() -> io::Result<Option<String>> {
    read_line_from(&mut io::stdin().lock())
}

/// Reads standard input to its end, but at most `max_bytes`. Tells a user at a terminal how to end it.
///
/// # Errors
/// Standard input cannot be read.
pub(crate) fn read_text(max_bytes: u64) -> io::Result<Vec<u8>> {
    let input = io::stdin();
    let is_typed = input.is_terminal();
    if is_typed {
        show("Type the text; end it with Ctrl-D on a line of its own.\n");
    }
    let mut text = Vec::new();
    input.lock().take(max_bytes).read_to_end(&mut text)?;
    if is_typed && text.last().is_some_and(|last| *last != b'\n') {
        show("\n"); // the next output starts on a line of its own
    }
    Ok(text)
}

fn read_line_from(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(answers: &[&str]) -> Option<bool> {
        let mut answers = answers.iter();
        ask_until_clear(parse_yes_no, || Ok(answers.next().map(ToString::to_string))).unwrap()
    }

    #[test]
    fn a_question_is_repeated_until_the_answer_is_clear() {
        for yes in [&["y"][..], &[" YES "], &["what", "Y"], &["", "y"]] {
            assert_eq!(meaning(yes), Some(true), "{yes:?}");
        }
        assert_eq!(meaning(&["No"]), Some(false));
        for unclear in [&[][..], &["a", "b", "c", "y"], &["what"], &["", "", ""]] {
            assert_eq!(meaning(unclear), None, "{unclear:?}");
        }
    }

    #[test]
    fn line_endings_are_removed_and_length_is_limited() {
        let mut input = &b"one\r\n\ntwo"[..];
        assert_eq!(read_line_from(&mut input).unwrap().as_deref(), Some("one"));
        assert_eq!(read_line_from(&mut input).unwrap().as_deref(), Some(""));
        assert_eq!(read_line_from(&mut input).unwrap().as_deref(), Some("two"));
        assert_eq!(read_line_from(&mut input).unwrap(), None);
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(read_line_from(&mut endless).unwrap().unwrap().len() as u64, MAX_LINE);
        assert_eq!(read_line_from(&mut &b"\xff\n"[..]).unwrap().as_deref(), Some("\u{fffd}"));
    }
}
