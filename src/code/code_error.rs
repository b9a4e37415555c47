//! The error for text that is not a code, and its message for the user.

use crate::{
    error::{Error, Kind},
    text::visible,
};

/// The reason why a text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// It has this character, which is not in the alphabet.
    Character(char),
    /// It has this many characters, which is the length of no code.
    Length(usize),
    /// Its check character does not match the others.
    Typo,
}

impl From<CodeError> for Error {
    fn from(e: CodeError) -> Self {
        match e {
            CodeError::Character(c) => {
                Self::new(Kind::Usage, format!("invalid character “{}” in the code", visible(&c.to_string())))
                    .hint("codes use the digits 2 to 9 and the letters A to Z without I, L and O")
            }
            CodeError::Length(0) => Self::new(Kind::Usage, "the code is empty").hint("a code looks like XKY9-7HQ2ME"),
            CodeError::Length(n) => Self::new(Kind::Usage, format!("invalid code: it has {n} characters"))
                .hint("most codes have 10 characters; compare it with the code that the sender shows"),
            CodeError::Typo => Self::new(Kind::Usage, "the code has a typo: its check character does not match")
                .hint("compare it with the code that the sender shows; nothing was sent and no guess was used"),
        }
    }
}
