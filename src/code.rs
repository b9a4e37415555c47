//! Codes: what one person reads to another.
//!
//! `XKY9-7HQ2ME` is a [`Slot`] of four characters (routing, picked by the relay), a [`Secret`] of five or more (made by
//! the sender, never sent to anyone) and one check character. [`Code::parse`] is the only way from text to a code, and
//! it catches every single wrong character and every swap of two neighbours before anything is sent: a typo costs no
//! guess. The code that runs in a relay only ever holds a [`Slot`].

mod link;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use self::link::{DEFAULT_PORT, Link, Pin, RelayAddr, RelaySpec};
use crate::{
    error::{Error, Kind},
    text::visible,
};

/// The characters of a code, in the order of their values: no 0 O 1 I L.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// Characters in a slot.
pub const SLOT_LENGTH: usize = 4;

/// The lengths a secret may have. They lie apart so that a missing character is always a wrong length.
pub const SECRET_LENGTHS: [usize; 5] = [5, 8, 12, 16, 20];

/// The longest text that is looked at as a code; a code of 25 characters with a blank after each fits.
const LONGEST_INPUT: usize = 200;

/// The routing half of a code: tells the relay which share is meant, and nothing more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; SLOT_LENGTH]", into = "[u8; SLOT_LENGTH]")]
pub struct Slot([u8; SLOT_LENGTH]);

impl Slot {
    /// How many slots there are: 31⁴.
    pub const COUNT: u32 = 31u32.pow(SLOT_LENGTH as u32);

    /// The slot of number `n` modulo [`Slot::COUNT`]; a uniform `n` gives a uniform slot.
    pub fn from_number(n: u32) -> Self {
        let mut rest = n % Self::COUNT;
        let mut chars = [0; SLOT_LENGTH];
        for c in &mut chars {
            *c = ALPHABET[(rest % 31) as usize];
            rest /= 31;
        }
        Self(chars)
    }

    /// The slot as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<[u8; SLOT_LENGTH]> for Slot {
    type Error = &'static str;

    fn try_from(chars: [u8; SLOT_LENGTH]) -> Result<Self, Self::Error> {
        if chars.iter().all(|c| ALPHABET.contains(c)) { Ok(Self(chars)) } else { Err("not a slot") }
    }
}

impl From<Slot> for [u8; SLOT_LENGTH] {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret half of a code: the password of the key exchange. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A fresh secret of `length` characters (one of [`SECRET_LENGTHS`]) from the system's generator.
    ///
    /// # Errors
    /// [`Kind::Usage`] for another length.
    pub fn random(length: usize) -> Result<Self, Error> {
        if !SECRET_LENGTHS.contains(&length) {
            return Err(Error::new(Kind::Usage, format!("a code cannot have {length} secret characters"))
                .hint("choose 5, 8, 12, 16 or 20"));
        }
        Ok(Self((0..length).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())]).collect()))
    }

    /// The characters, for the key exchange alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many characters it has: 4.95 bits each.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A whole code: slot and secret. The check character is worked out, never stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    slot: Slot,
    secret: Secret,
}

impl Code {
    /// Joins the two halves.
    pub fn new(slot: Slot, secret: Secret) -> Self {
        Self { slot, secret }
    }

    /// Reads a code as people type it: upper or lower case, with or without hyphens and blanks.
    ///
    /// # Errors
    /// A [`CodeError`] that tells a wrong character from a wrong length and both from a typo.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.len() > LONGEST_INPUT {
            return Err(CodeError::Length(text.chars().count()));
        }
        let mut chars = Vec::with_capacity(text.len());
        for c in text.chars().filter(|c| !c.is_whitespace() && !is_hyphen(*c)) {
            match u8::try_from(c.to_ascii_uppercase()) {
                Ok(c) if ALPHABET.contains(&c) => chars.push(c),
                _ => return Err(CodeError::Character(c)),
            }
        }
        let parsed = Self::from_characters(&chars);
        chars.zeroize();
        parsed
    }

    fn from_characters(chars: &[u8]) -> Result<Self, CodeError> {
        let wrong_length = CodeError::Length(chars.len());
        let Some((&check, body)) = chars.split_last() else { return Err(wrong_length) };
        let Some((slot, secret)) = body.split_first_chunk::<SLOT_LENGTH>() else { return Err(wrong_length) };
        if !SECRET_LENGTHS.contains(&secret.len()) {
            return Err(wrong_length);
        }
        if check_character(body) != check {
            return Err(CodeError::Typo);
        }
        Ok(Self { slot: Slot(*slot), secret: Secret(secret.to_vec()) })
    }

    /// The half that the relay may know.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The half that nobody but the two ends may know.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The code as it is read to somebody: `XKY9-7HQ2ME`.
    pub fn reveal(&self) -> Revealed {
        let mut body = [&self.slot.0[..], self.secret.expose()].concat();
        let check = check_character(&body);
        let mut text = String::with_capacity(body.len() + 2);
        text.push_str(self.slot.as_str());
        text.push('-');
        text.extend(self.secret.expose().iter().map(|&c| char::from(c)));
        text.push(char::from(check));
        body.zeroize();
        Revealed(text)
    }
}

/// Hyphens and dashes that keyboards and messengers make of a hyphen.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}')
}

/// Σ i·vᵢ mod 31 with i from 1: the weights differ and none is 0 modulo the prime 31, so that every single wrong
/// character and every swap of two neighbours, the check character's included, changes the sum.
fn check_character(body: &[u8]) -> u8 {
    let sum: usize = body.iter().zip(1..).map(|(c, i)| i * value(*c)).sum();
    ALPHABET[sum % 31]
}

fn value(c: u8) -> usize {
    ALPHABET.iter().position(|a| *a == c).unwrap_or_default()
}

/// Why a text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// A character that no code has.
    Character(char),
    /// That many characters, and no code has so many.
    Length(usize),
    /// The check character does not fit the others.
    Typo,
}

impl From<CodeError> for Error {
    fn from(e: CodeError) -> Self {
        match e {
            CodeError::Character(c) => {
                let shown = visible(&c.to_string());
                Self::new(Kind::Usage, format!("“{shown}” is not a character that codes have"))
                    .hint("codes have the digits 2 to 9 and the letters A to Z without I, L and O")
            }
            CodeError::Length(0) => Self::new(Kind::Usage, "the code is empty").hint("it looks like XKY9-7HQ2ME"),
            CodeError::Length(n) => Self::new(Kind::Usage, format!("a code cannot have {n} characters"))
                .hint("most codes have 10; compare it with what the sender shows"),
            CodeError::Typo => Self::new(Kind::Usage, "the code has a typo: its check character does not fit")
                .hint("compare it with what the sender shows; nothing was sent and no guess was spent"),
        }
    }
}

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self::parse(text)?)
    }
}

/// Text that holds a secret and is shown on purpose: serializes and displays as itself, but not in Debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Revealed(String);

impl Revealed {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revealed(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_check(body: &[u8]) -> Vec<u8> {
        [body, &[check_character(body)]].concat()
    }

    #[test]
    fn the_example_of_the_documentation_is_a_code() {
        let code = Code::parse("xky9 - 7hq2me").unwrap();
        assert_eq!(code.slot().as_str(), "XKY9");
        assert_eq!(code.secret().expose(), b"7HQ2M");
        assert_eq!(code.reveal().as_str(), "XKY9-7HQ2ME");
    }

    #[test]
    fn each_kind_of_mistake_has_its_own_error() {
        assert_eq!(Code::parse("XKY9-7HQ2M0"), Err(CodeError::Character('0')));
        assert_eq!(Code::parse("XKY9-7HQ2M"), Err(CodeError::Length(9)));
        assert_eq!(Code::parse("XKY9-7HQ2MF"), Err(CodeError::Typo));
        assert_eq!(Code::parse(""), Err(CodeError::Length(0)));
        assert_eq!(Code::parse(&"A".repeat(1_000)), Err(CodeError::Length(1_000)));
        assert_eq!(Code::parse("XKY9-7HQ2M\u{3a9}"), Err(CodeError::Character('\u{3a9}')));
    }

    /// The weights do not depend on the other characters, so the difference that one mistake makes can be checked for
    /// every position, every pair of values and every length without going through all codes.
    #[test]
    fn every_single_error_and_every_swap_of_neighbours_is_caught() {
        for length in SECRET_LENGTHS {
            let n = SLOT_LENGTH + length;
            for filler in [0usize, 1, 17, 30] {
                let body: Vec<u8> = (0..n).map(|i| ALPHABET[(filler * (i + 1)) % 31]).collect();
                for at in 0..n {
                    for here in ALPHABET {
                        let mut right = body.clone();
                        right[at] = *here;
                        let right = with_check(&right);
                        assert!(Code::from_characters(&right).is_ok());
                        for wrong in ALPHABET.iter().filter(|w| *w != here) {
                            let mut typo = right.clone();
                            typo[at] = *wrong;
                            assert_eq!(Code::from_characters(&typo), Err(CodeError::Typo));
                        }
                        for there in ALPHABET {
                            let mut pair = right.clone();
                            pair[at] = *here;
                            if at + 1 < n {
                                pair[at + 1] = *there;
                                pair = with_check(&pair[..n]);
                            }
                            let mut swapped = pair.clone();
                            swapped.swap(at, at + 1);
                            if swapped != pair {
                                assert_eq!(Code::from_characters(&swapped), Err(CodeError::Typo));
                            }
                        }
                    }
                }
                let right = with_check(&body);
                for wrong in ALPHABET.iter().filter(|w| **w != right[n]) {
                    let mut typo = right.clone();
                    typo[n] = *wrong;
                    assert_eq!(Code::from_characters(&typo), Err(CodeError::Typo));
                }
                for at in 0..=n {
                    let mut missing = right.clone();
                    missing.remove(at);
                    assert_eq!(Code::from_characters(&missing), Err(CodeError::Length(n)));
                }
            }
        }
    }

    #[test]
    fn nothing_secret_is_in_debug_output() {
        let code = Code::parse("XKY9-7HQ2ME").unwrap();
        let shown = format!("{code:?} {:?} {:?}", code.secret(), code.reveal());
        assert!(!shown.contains("7HQ2M"), "{shown}");
    }

    #[test]
    fn slots_cover_the_alphabet() {
        assert_eq!(Slot::from_number(0).as_str(), "2222");
        assert_eq!(Slot::from_number(Slot::COUNT - 1).as_str(), "ZZZZ");
        assert!(Slot::try_from(*b"XKY0").is_err());
    }

    proptest! {
        #[test]
        fn what_is_revealed_parses_back(n in 0..Slot::COUNT, length in 0usize..5) {
            let code = Code::new(Slot::from_number(n), Secret::random(SECRET_LENGTHS[length]).unwrap());
            prop_assert_eq!(Code::parse(code.reveal().as_str()), Ok(code.clone()));
            let typed: String = code.reveal().as_str().to_lowercase().chars().flat_map(|c| [c, ' ']).collect();
            prop_assert_eq!(Code::parse(&typed), Ok(code));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = Code::parse(&text);
        }
    }
}
