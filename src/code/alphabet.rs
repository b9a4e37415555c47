//! The alphabet of codes.

/// The characters of a code, in the order of their values. Without 0, O, 1, I and L, which look alike.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// Returns the value of a character of the alphabet; 0 for any other character.
pub(super) fn value_of(c: u8) -> usize {
    ALPHABET.iter().position(|a| *a == c).unwrap_or_default()
}
