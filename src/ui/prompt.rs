//! Questions: asked on standard error, answered on standard input.
//!
//! They block until the user presses Enter, so async callers ask from a separate thread. Text from the other side
//! must pass through [`crate::text::visible`] before it becomes part of a question. The caller waits until the display has
//! shown everything before it.

use std::io::{self, BufRead, Read, Write};

/// The size limit of an answer in bytes; several dragged paths fit.
const MAX_LINE: u64 = 64 * 1024;

/// How many times a question is asked before the answer counts as no.
const MAX_ATTEMPTS: usize = 3;

/// Asks `QUESTION [Y/n]`. An empty answer is yes. The end of input is no, and so is the third answer that is neither.
/// Input that is older than the question is discarded, because it cannot be an answer.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask_yes_no(question: &str) -> io::Result<bool> {
    discard_input();
    ask_until_clear(Some(true), || ask_line(&format!("{question} [Y/n] ")))
}

/// Asks `QUESTION [y/n]` during a running command. An empty answer is invalid: the user may have pressed Enter before
/// the question appeared.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask_explicitly(question: &str) -> io::Result<bool> {
    discard_input();
    ask_until_clear(None, || ask_line(&format!("{question} [y/n] ")))
}

/// Discards what was typed or pasted so far, such as the line feed behind a pasted code.
fn discard_input() {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush); // fails without a terminal
}

/// Shows `prompt` and reads a line, without its line feed. Returns `None` at the end of input.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask_line(prompt: &str) -> io::Result<Option<String>> {
    show(prompt);
    let answer = read_line()?;
    if answer.is_none() {
        show("\n"); // the next output starts on a line of its own
    }
    Ok(answer)
}

/// Asks until the answer is valid. `empty` is the meaning of an empty answer.
fn ask_until_clear(empty: Option<bool>, mut ask: impl FnMut() -> io::Result<Option<String>>) -> io::Result<bool> {
    for _ in 0..MAX_ATTEMPTS {
        let Some(answer) = ask()? else { return Ok(false) };
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            answer => {
                if let Some(meaning) = empty.filter(|_| answer.is_empty()) {
                    return Ok(meaning);
                }
            }
        }
    }
    Ok(false)
}

/// Writes text to standard error. Its failures are ignored.
pub fn show(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Reads a line from standard input, without its line feed. Returns `None` at the end of input.
///
/// # Errors
/// Standard input cannot be read.
pub fn read_line() -> io::Result<Option<String>> {
    read_line_from(&mut io::stdin().lock())
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

    fn accepts(empty: Option<bool>, answers: &[&str]) -> bool {
        let mut answers = answers.iter();
        ask_until_clear(empty, || Ok(answers.next().map(ToString::to_string))).unwrap()
    }

    #[test]
    fn an_empty_answer_is_yes_and_the_end_of_input_is_no() {
        for yes in [&[""][..], &["y"], &[" YES "], &["what", "Y"]] {
            assert!(accepts(Some(true), yes), "{yes:?}");
        }
        for no in [&[][..], &["n"], &["No"], &["a", "b", "c", "y"], &["what"]] {
            assert!(!accepts(Some(true), no), "{no:?}");
        }
        assert!(accepts(None, &["", "y"]) && !accepts(None, &["", "n"]) && !accepts(None, &["", "", ""]));
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
