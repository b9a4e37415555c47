//! What a user gives to `recv`: a code or a link, perhaps pasted with its surroundings.

use unicode_normalization::UnicodeNormalization as _;

use super::{link::Link, share_code::Code};
use crate::error::Result;

/// The words before a code in the command that the sender shows.
const COMMANDS: [&str; 2] = ["recv", "receive"];

/// A code or a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodeOrLink {
    /// A bare code.
    Code(Code),
    /// A link.
    Link(Box<Link>),
}

impl CodeOrLink {
    /// Parses a code or a link as users paste it: with the command, quotes, brackets, a full stop, line wraps or
    /// invisible characters around it.
    ///
    /// # Errors
    /// The error of [`Link::parse`] for text that contains a link, otherwise the one of [`Code::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        // Compatibility composition turns full-width characters into usual ones.
        let text: String = text.chars().filter(|c| !is_invisible(*c)).nfkc().collect();
        if let Some(start) = find_scheme(&text) {
            return parse_link(&text[start..]).map(|link| Self::Link(Box::new(link)));
        }
        match Code::parse(trim(after_command(&text))) {
            Ok(code) => Ok(Self::Code(code)),
            Err(e) => the_only_code(&text).map(Self::Code).ok_or_else(|| e.into()),
        }
    }
}

/// Returns the code among the words of a text, if there is exactly one. Two different codes make the text ambiguous.
fn the_only_code(text: &str) -> Option<Code> {
    let mut codes = text.split_whitespace().filter_map(|word| Code::parse(trim(word)).ok());
    let code = codes.next()?;
    codes.all(|other| other == code).then_some(code)
}

/// Parses a text that begins with a link. A line wrap may divide the link, and words may follow it.
fn parse_link(text: &str) -> Result<Link> {
    let text = &text.replace("%23", "#"); // some programs encode the sign before the pin
    let joined: String = text.split_whitespace().collect();
    let first_word = text.split_whitespace().next().unwrap_or_default();
    // The error is about the link alone, not about the words behind it.
    Link::parse(trim(&joined)).or_else(|_| Link::parse(trim(first_word)))
}

/// Returns the position at which a link begins.
fn find_scheme(text: &str) -> Option<usize> {
    text.char_indices().map(|(at, _)| at).find(|at| Link::has_scheme(&text[*at..]) && !text[*at..].starts_with(' '))
}

/// Returns what follows `qshare recv` in a pasted command, or the whole text.
fn after_command(text: &str) -> &str {
    let rest = trim(text).trim_start_matches(['$', '%', '>', '#']).trim_start();
    let Some(rest) = rest.strip_prefix("qshare ") else { return text };
    let rest = rest.trim_start();
    COMMANDS.iter().find_map(|command| rest.strip_prefix(command)).filter(|rest| rest.starts_with(' ')).unwrap_or(text)
}

/// Removes quotes, brackets and punctuation around a code or a link. Neither begins or ends with any of them.
fn trim(text: &str) -> &str {
    const AROUND: &str = "\"'`<>()[]“”‘’«».,;:!*";
    text.trim_matches(|c: char| c.is_whitespace() || AROUND.contains(c))
}

/// Whether `c` has no width: messengers insert such characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "XKY9-7HQ2ME";
    const LINK: &str =
        "qshare://relay.example:4433/XKY9-7HQ2ME?alt=192.0.2.7:4433#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_code_is_found_in_its_surroundings() {
        let code = CodeOrLink::Code(Code::parse(CODE).unwrap());
        for pasted in [
            "XKY9-7HQ2ME",
            " xky9 7hq2me\r\n",
            "qshare recv XKY9-7HQ2ME",
            "$ qshare recv XKY9-7HQ2ME",
            "  qshare receive XKY9-7HQ2ME.",
            "`qshare recv XKY9-7HQ2ME`",
            "\"XKY9-7HQ2ME\"",
            "'XKY9-7HQ2ME'",
            "“XKY9-7HQ2ME”",
            "<XKY9-7HQ2ME>",
            "(XKY9-7HQ2ME),",
            "XKY9-7HQ2ME.",
            "\u{feff}XKY9-\u{200b}7HQ2ME\u{200e}",
            "XKY9-\n7HQ2ME",
            "*XKY9-7HQ2ME*",
            "qshare receive --yes XKY9-7HQ2ME",
            "code: XKY9-7HQ2ME (expires tomorrow)",
            "ＸＫＹ９-７ＨＱ２ＭＥ",
            "XKY9-7HQ2ME, XKY9-7HQ2ME",
        ] {
            assert_eq!(CodeOrLink::parse(pasted), Ok(code.clone()), "{pasted:?}");
        }
        assert!(CodeOrLink::parse("qshare recv").is_err());
        assert!(CodeOrLink::parse("XKY9-7HQ2ME or XKY9-7HQ2M").is_ok());
        assert!(CodeOrLink::parse("XKY9-7HQ2MF").is_err(), "a typo");
    }

    #[test]
    fn a_link_is_found_in_its_surroundings() {
        let link = CodeOrLink::Link(Box::new(Link::parse(LINK).unwrap()));
        let wrapped = format!("{}\n  {}", &LINK[..60], &LINK[60..]);
        let before_pin = LINK.replace('#', "\n#");
        for pasted in [
            LINK.to_owned(),
            format!("<{LINK}>"),
            format!("\"{LINK}\"."),
            format!("qshare recv \"{LINK}\""),
            format!("Here it is: {LINK} thanks"),
            format!("{LINK}\nThanks, and see you"),
            wrapped,
            before_pin,
            format!("\u{200b}{LINK}\u{2060}"),
            LINK.replacen("qshare", "QShare", 1),
            LINK.replace('#', "%23"),
        ] {
            assert_eq!(CodeOrLink::parse(&pasted), Ok(link.clone()), "{pasted:?}");
        }
        assert!(CodeOrLink::parse(&LINK[..LINK.len() - 1]).is_err(), "a shortened pin");
    }

    proptest! {
        #[test]
        fn parsing_arbitrary_text_never_panics(text in "(qshare )?(recv )?(qshare://)?\\PC{0,80}") {
            let _ = CodeOrLink::parse(&text);
        }
    }
}
