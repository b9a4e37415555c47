//! The code of a share: slot, secret and check character.

use std::str::FromStr;

use zeroize::Zeroize;

use super::{
    alphabet::ALPHABET,
    check_character::check_character,
    code_error::CodeError,
    revealed::Revealed,
    secret::{SECRET_LENGTHS, Secret},
    slot::{SLOT_LENGTH, Slot},
};
use crate::error::Error;

/// The longest text that is parsed as a code, in bytes. The longest code, 25 characters with a space after each, fits.
const MAX_INPUT: usize = 200;

/// The code of a share: slot and secret. The check character is computed, never stored.
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

    /// Parses a code as users type it: upper or lower case, with or without hyphens and spaces.
    ///
    /// # Errors
    /// A [`CodeError`], which distinguishes an invalid character, a wrong length and a typo.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.len() > MAX_INPUT {
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

    /// Parses characters that are all in the alphabet.
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

    /// Returns the routing half, which the relay may know.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Returns the secret half, which only the two ends may know.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the code as text: `XKY9-7HQ2ME`.
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

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self::parse(text)?)
    }
}

/// Whether `c` is a hyphen, a soft hyphen, a minus sign, or a dash with which keyboards and messengers replace a
/// hyphen.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_check(body: &[u8]) -> Vec<u8> {
        [body, &[check_character(body)]].concat()
    }

    #[test]
    fn the_documented_example_parses() {
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

    /// The weights do not depend on the other characters. So it suffices to test every position, every pair of values
    /// and every length, instead of every code.
    #[test]
    fn every_wrong_character_and_every_swap_of_neighbours_is_detected() {
        for length in SECRET_LENGTHS {
            let n = SLOT_LENGTH + length;
            for filler in [0usize, 1, 17, 30] {
                let body: Vec<u8> = (0..n).map(|i| ALPHABET[(filler * (i + 1)) % 31]).collect();
                for at in 0..n {
                    for first in ALPHABET {
                        let mut right = body.clone();
                        right[at] = *first;
                        let right = with_check(&right);
                        assert!(Code::from_characters(&right).is_ok());
                        for wrong in ALPHABET.iter().filter(|w| *w != first) {
                            let mut typo = right.clone();
                            typo[at] = *wrong;
                            assert_eq!(Code::from_characters(&typo), Err(CodeError::Typo));
                        }
                        for second in ALPHABET {
                            let mut pair = right.clone();
                            pair[at] = *first;
                            if at + 1 < n {
                                pair[at + 1] = *second;
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
    fn debug_output_omits_the_secret() {
        let code = Code::parse("XKY9-7HQ2ME").unwrap();
        let shown = format!("{code:?} {:?} {:?}", code.secret(), code.reveal());
        assert!(!shown.contains("7HQ2M"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_revealed_code_parses_to_the_same_code(n in 0..Slot::COUNT, length in 0usize..5) {
            let code = Code::new(Slot::from_number(n), Secret::random(SECRET_LENGTHS[length]).unwrap());
            prop_assert_eq!(Code::parse(code.reveal().as_str()), Ok(code.clone()));
            let typed: String = code.reveal().as_str().to_lowercase().chars().flat_map(|c| [c, ' ']).collect();
            prop_assert_eq!(Code::parse(&typed), Ok(code));
        }

        #[test]
        fn parsing_arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = Code::parse(&text);
        }
    }
}
