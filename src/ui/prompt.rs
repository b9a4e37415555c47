//! Questions: asked on standard error, answered on standard input.
//!
//! They block until a line comes, so async callers ask from a thread of their own. What comes from the other side must
//! pass [`crate::text::visible`] before it gets into a question. Bars must be off the screen ([`super::Ui::finish`]);
//! after an offer they are.

use std::io::{self, BufRead, Read, Write};

/// The longest line that is read; several dragged paths fit.
const LONGEST_LINE: u64 = 64 * 1024;

/// How often a question is asked before its answer counts as no.
const ATTEMPTS: usize = 3;

/// Asks `QUESTION [Y/n]`. A plain enter is yes; the end of input is no, and so is the third answer that is neither.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask_yes_no(question: &str) -> io::Result<bool> {
    decide(|| ask_line(&format!("{question} [Y/n] ")))
}

/// Shows `prompt` as it is and reads a line, without its line feed; `None` at the end of input.
///
/// # Errors
/// Standard input cannot be read.
pub fn ask_line(prompt: &str) -> io::Result<Option<String>> {
    show(prompt);
    let answer = read_line(&mut io::stdin().lock())?;
    if answer.is_none() {
        show("\n"); // what follows begins on a line of its own
    }
    Ok(answer)
}

fn decide(mut ask: impl FnMut() -> io::Result<Option<String>>) -> io::Result<bool> {
    for _ in 0..ATTEMPTS {
        let Some(answer) = ask()? else { return Ok(false) };
        match answer.trim().to_lowercase().as_str() {
            "" | "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

fn show(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush()); // nobody to tell
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(answers: &[&str]) -> bool {
        let mut answers = answers.iter();
        decide(|| Ok(answers.next().map(ToString::to_string))).unwrap()
    }

    #[test]
    fn enter_is_yes_and_the_end_is_no() {
        for yes in [&[""][..], &["y"], &[" YES "], &["what", "Y"]] {
            assert!(decided(yes), "{yes:?}");
        }
        for no in [&[][..], &["n"], &["No"], &["a", "b", "c", "y"], &["what"]] {
            assert!(!decided(no), "{no:?}");
        }
    }

    #[test]
    fn lines_lose_their_ends_and_are_bounded() {
        let mut input = &b"one\r\n\ntwo"[..];
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("one"));
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some(""));
        assert_eq!(read_line(&mut input).unwrap().as_deref(), Some("two"));
        assert_eq!(read_line(&mut input).unwrap(), None);
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(read_line(&mut endless).unwrap().unwrap().len() as u64, LONGEST_LINE);
        assert_eq!(read_line(&mut &b"\xff\n"[..]).unwrap().as_deref(), Some("\u{fffd}"));
    }
}
