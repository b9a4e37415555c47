//! The routing half of a code.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::alphabet::{ALPHABET, value_of};

/// Characters in a slot.
pub const SLOT_LENGTH: usize = 4;

/// The routing half of a code. It identifies the share at the relay and reveals nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; SLOT_LENGTH]", into = "[u8; SLOT_LENGTH]")]
pub struct Slot(pub(super) [u8; SLOT_LENGTH]);

impl Slot {
    /// The number of different slots: 31⁴.
    pub const COUNT: u32 = 31u32.pow(SLOT_LENGTH as u32);

    /// Returns slot number `n` modulo [`Slot::COUNT`]. A uniform `n` below it gives a uniform slot.
    pub fn from_number(n: u32) -> Self {
        let mut rest = n % Self::COUNT;
        let mut chars = [0; SLOT_LENGTH];
        for c in &mut chars {
            *c = ALPHABET[(rest % 31) as usize];
            rest /= 31;
        }
        Self(chars)
    }

    /// Returns the number from which [`Slot::from_number`] creates this slot.
    pub fn number(self) -> u32 {
        self.0.iter().rev().fold(0, |number, c| number * 31 + value_of(*c) as u32)
    }

    /// Returns the slot as text.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_numbers_cover_the_alphabet() {
        assert_eq!(Slot::from_number(0).as_str(), "2222");
        assert_eq!(Slot::from_number(Slot::COUNT - 1).as_str(), "ZZZZ");
        assert!(Slot::try_from(*b"XKY0").is_err());
        for number in [0, 1, 30, 31, 77_777, Slot::COUNT - 1] {
            assert_eq!(Slot::from_number(number).number(), number);
        }
    }
}
