//! Which suite a session has: both ends find it by the same rule, from what both have announced.
//!
//! The receiver announces in flight 1, the sender in flight 2 together with its choice, and the transcript covers both:
//! whoever changes an announcement on the way changes the keys, and the tags do not fit.

use crate::{
    crypto::Cipher,
    processor::Aes,
    wire::peer::{AES_IS_SLOW, Hello, HelloReply, SUITE_SPAKE2_AES256GCM, SUITE_SPAKE2_CHACHA20POLY1305, SUITES},
};

/// What an end announces.
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

/// What `capabilities` an end has whose processor does AES like this.
pub(crate) fn capabilities(aes: Aes) -> u64 {
    match aes {
        Aes::InHardware => 0,
        Aes::InSoftware => AES_IS_SLOW,
    }
}

/// The best of the suites that both ends have; any other in its place is a downgrade. Equal whichever end asks.
pub(crate) fn best(one: Announced<'_>, other: Announced<'_>) -> Option<(u16, Cipher)> {
    let aes = (SUITE_SPAKE2_AES256GCM, Cipher::Aes256Gcm);
    let chacha20 = (SUITE_SPAKE2_CHACHA20POLY1305, Cipher::ChaCha20Poly1305);
    let aes_is_slow = (one.capabilities | other.capabilities) & AES_IS_SLOW != 0;
    let order = if aes_is_slow { [chacha20, aes] } else { [aes, chacha20] };
    order.into_iter().find(|(suite, _)| one.suites.contains(suite) && other.suites.contains(suite))
}

/// What this version announces, on a processor that does AES like this.
pub(crate) fn ours(aes: Aes) -> Announced<'static> {
    Announced { suites: &SUITES, capabilities: capabilities(aes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(one: (&[u16], u64), other: (&[u16], u64)) -> Option<u16> {
        let announced = |(suites, capabilities)| Announced { suites, capabilities };
        best(announced(one), announced(other)).map(|(suite, _)| suite)
    }

    #[test]
    fn aes_where_both_are_fast_at_it_else_chacha20() {
        let (both, fast, slow) = (&SUITES[..], 0, AES_IS_SLOW);
        assert_eq!(chosen((both, fast), (both, fast)), Some(1));
        assert_eq!(chosen((both, slow), (both, fast)), Some(2));
        assert_eq!(chosen((both, fast), (both, slow)), Some(2));
        assert_eq!(chosen((both, slow), (both, slow)), Some(2));
        assert_eq!(chosen((both, !slow), (both, !slow)), Some(1), "bits that nobody knows");
        assert_eq!(chosen((&[2, 1], fast), (&[900, 2, 1], fast)), Some(1), "the order in a list says nothing");
    }

    #[test]
    fn nobody_gets_what_only_one_has() {
        for capabilities in [0, AES_IS_SLOW] {
            assert_eq!(chosen((&[1], capabilities), (&SUITES, 0)), Some(1));
            assert_eq!(chosen((&SUITES, capabilities), (&[900, 2], 0)), Some(2));
            assert_eq!(chosen((&[1], capabilities), (&[2], 0)), None);
            assert_eq!(chosen((&[900], capabilities), (&[900], 0)), None);
            assert_eq!(chosen((&[], capabilities), (&SUITES, 0)), None);
        }
    }

    proptest! {
        #[test]
        fn both_ends_find_the_same(
            one in (prop::collection::vec(0..4u16, 0..4), 0..4u64),
            other in (prop::collection::vec(0..4u16, 0..4), 0..4u64),
        ) {
            let (one, other) = ((&one.0[..], one.1), (&other.0[..], other.1));
            prop_assert_eq!(chosen(one, other), chosen(other, one));
        }
    }
}
