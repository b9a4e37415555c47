//! The secret half of a code.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::alphabet::ALPHABET;
use crate::error::{Error, Kind};

/// The lengths that a secret may have. They are so far apart that a missing character always gives an invalid length.
pub const SECRET_LENGTHS: [usize; 5] = [5, 8, 12, 16, 20];

/// The secret half of a code: the password of the key exchange. Wiped from memory when dropped; Debug output omits it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(pub(super) Vec<u8>);

impl Secret {
    /// Draws a secret of `length` characters (one of [`SECRET_LENGTHS`]) from the system's random generator.
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other length.
    pub fn random(length: usize) -> Result<Self, Error> {
        if !SECRET_LENGTHS.contains(&length) {
            return Err(Error::new(Kind::Usage, format!("invalid number of secret characters: {length}"))
                .hint("choose 5, 8, 12, 16 or 20"));
        }
        Ok(Self((0..length).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())]).collect()))
    }

    /// Returns the characters. Only for the key exchange.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the number of characters. Each has 4.95 bits.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
