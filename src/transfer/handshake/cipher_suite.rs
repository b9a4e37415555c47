//! Cipher suite negotiation. Both ends apply the same rule to what both have announced.
//!
//! The receiver announces its suites in flight 1. The sender announces its own in flight 2, together with its choice.
//! The transcript covers both flights: changing an announcement in transit changes the keys, and the tags do not match.

use crate::{
    crypto::Cipher,
    processor::Aes,
    wire::peer::{AES_IS_SLOW, Hello, HelloReply, SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305, SUITES},
};

/// The suites and capabilities that one end announces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced<'a> {
    suites: &'a [u16],
    capabilities: u64,
}

impl<'a> From<&'a Hello> for Announced<'a> {
    fn from(hello: &'a Hello) -> Self {
        Self { suites: &hello.suites, capabilities: hello.capabilities }
    }
}

impl<'a> From<&'a HelloReply> for Announced<'a> {
    fn from(reply: &'a HelloReply) -> Self {
        Self { suites: &reply.suites, capabilities: reply.capabilities }
    }
}

/// Returns the announcement of this version. `aes` is how the processor computes AES.
pub(crate) fn ours(aes: Aes) -> Announced<'static> {
    Announced { suites: &SUITES, capabilities: capabilities(aes) }
}

/// Returns the capability bits for a processor that computes AES as `aes`.
pub(crate) fn capabilities(aes: Aes) -> u64 {
    match aes {
        Aes::InHardware => 0,
        Aes::InSoftware => AES_IS_SLOW,
    }
}

/// Returns the best suite that both ends have. The result does not depend on the order of the arguments. Any other
/// choice is a downgrade.
pub(crate) fn best(one: Announced<'_>, other: Announced<'_>) -> Option<(u16, Cipher)> {
    let aes = (SUITE_SPAKE2_AES256GCM, Cipher::Aes256Gcm);
    let chacha20 = (SUITE_SPAKE2_CHACHA20POLY1305, Cipher::ChaCha20Poly1305);
    let aes_is_slow = (one.capabilities | other.capabilities) & AES_IS_SLOW != 0;
    let order = if aes_is_slow { [chacha20, aes] } else { [aes, chacha20] };
    order.into_iter().find(|(suite, _)| one.suites.contains(suite) && other.suites.contains(suite))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best_suite(one: (&[u16], u64), other: (&[u16], u64)) -> Option<u16> {
        let announced = |(suites, capabilities)| Announced { suites, capabilities };
        best(announced(one), announced(other)).map(|(suite, _)| suite)
    }

    #[test]
    fn aes_is_chosen_only_if_it_is_fast_at_both_ends() {
        let (both, fast, slow) = (&SUITES[..], 0, AES_IS_SLOW);
        assert_eq!(best_suite((both, fast), (both, fast)), Some(1));
        assert_eq!(best_suite((both, slow), (both, fast)), Some(2));
        assert_eq!(best_suite((both, fast), (both, slow)), Some(2));
        assert_eq!(best_suite((both, slow), (both, slow)), Some(2));
        assert_eq!(best_suite((both, !slow), (both, !slow)), Some(1), "unknown bits are ignored");
        assert_eq!(best_suite((&[2, 1], fast), (&[900, 2, 1], fast)), Some(1), "the order of a list has no meaning");
    }

    #[test]
    fn only_suites_that_both_ends_have_are_chosen() {
        for capabilities in [0, AES_IS_SLOW] {
            assert_eq!(best_suite((&[1], capabilities), (&SUITES, 0)), Some(1));
            assert_eq!(best_suite((&SUITES, capabilities), (&[900, 2], 0)), Some(2));
            assert_eq!(best_suite((&[1], capabilities), (&[2], 0)), None);
            assert_eq!(best_suite((&[900], capabilities), (&[900], 0)), None);
            assert_eq!(best_suite((&[], capabilities), (&SUITES, 0)), None);
        }
    }

    proptest! {
        #[test]
        fn both_ends_choose_the_same_suite(
            one in (prop::collection::vec(0..4u16, 0..4), 0..4u64),
            other in (prop::collection::vec(0..4u16, 0..4), 0..4u64),
        ) {
            let (one, other) = ((&one.0[..], one.1), (&other.0[..], other.1));
            prop_assert_eq!(best_suite(one, other), best_suite(other, one));
        }
    }
}
