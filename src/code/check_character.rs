//! The check character at the end of a code.

use super::alphabet::{ALPHABET, value_of};

/// Returns the check character of a slot and a secret: Σ i·vᵢ mod 31, with i from 1.
///
/// The weights are pairwise different and nonzero modulo the prime 31. So every single wrong character and every swap
/// of two neighbours, the check character included, changes the sum.
pub(super) fn check_character(body: &[u8]) -> u8 {
    let sum: usize = body.iter().zip(1..).map(|(c, i)| i * value_of(*c)).sum();
    ALPHABET[sum % 31]
}
