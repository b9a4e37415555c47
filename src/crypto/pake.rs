//! The password-authenticated key exchange: SPAKE2 on edwards25519, two-sided (receiver is A, sender is B).
//!
//! One run tests one guess at the password, and who listens learns nothing of it. The crate does the exchange; this
//! wrapper adds what it leaves out: a point must be canonical, of the prime-order group and not the identity
//! (RFC 9382 section 7 asks for the group check; without it a peer can force a key out of a set of eight).

use std::fmt;

use curve25519_dalek::{edwards::CompressedEdwardsY, traits::IsIdentity};
use spake2::{Ed25519Group, Identity, Spake2};
use zeroize::Zeroizing;

use crate::code::{Secret, Slot};

/// The length of a message: a side byte and a compressed point.
pub const MESSAGE_LENGTH: usize = 33;

/// Which end of the exchange this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Side A; speaks first.
    Receiver,
    /// Side B.
    Sender,
}

/// What the password is. Each mode has identities of its own, so that a message of one is worthless in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeMode {
    /// The secret half of a code; each try is a guess.
    Code,
    /// What the sender gave a receiver to come back with.
    Resume,
}

impl ExchangeMode {
    /// The mode's name in identities and transcripts.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Resume => "resume",
        }
    }
}

/// What both ends must know. Wiped when dropped.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl From<&Secret> for Password {
    fn from(secret: &Secret) -> Self {
        Self::of(secret.expose())
    }
}

/// One end of one exchange, its message sent and the other's awaited. It can be finished once.
pub struct PakeExchange {
    state: Spake2<Ed25519Group>,
}

impl PakeExchange {
    /// Begins an exchange; the message goes to the other end.
    pub fn start(role: Role, password: &Password, slot: Slot, mode: ExchangeMode) -> (Self, Vec<u8>) {
        let identity = |side: &str| Identity::new(format!("qshare/1 {} {side} {slot}", mode.label()).as_bytes());
        let (receiver, sender) = (identity("receiver"), identity("sender"));
        let password = spake2::Password::new(&password.0[..]);
        let (state, message) = match role {
            Role::Receiver => Spake2::start_a(&password, &receiver, &sender),
            Role::Sender => Spake2::start_b(&password, &receiver, &sender),
        };
        (Self { state }, message)
    }

    /// Takes the other end's message and gives the key, equal at both ends if both had the same password.
    ///
    /// # Errors
    /// [`PakeError`] for a message that no honest end sends: a wrong length or side, or a point that is not canonical,
    /// not torsion-free, or the identity.
    pub fn finish(self, message: &[u8]) -> Result<PakeKey, PakeError> {
        check_point(message)?;
        self.state.finish(message).map(|key| PakeKey(Zeroizing::new(key))).map_err(|_| PakeError)
    }
}

fn check_point(message: &[u8]) -> Result<(), PakeError> {
    let Ok(message) = <&[u8; MESSAGE_LENGTH]>::try_from(message) else { return Err(PakeError) };
    let compressed = CompressedEdwardsY::from_slice(&message[1..]).map_err(|_| PakeError)?;
    let point = compressed.decompress().ok_or(PakeError)?;
    if point.compress() != compressed || !point.is_torsion_free() || point.is_identity() {
        return Err(PakeError);
    }
    Ok(())
}

/// The outcome of an exchange, not yet proved to be equal at both ends.
pub struct PakeKey(pub(super) Zeroizing<Vec<u8>>);

impl fmt::Debug for PakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PakeKey(…)")
    }
}

/// A message that no honest end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of the key exchange")]
pub struct PakeError;

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;

    fn start(role: Role, secret: &Secret, slot: u32) -> (PakeExchange, Vec<u8>) {
        PakeExchange::start(role, &Password::from(secret), Slot::from_number(slot), ExchangeMode::Code)
    }

    #[test]
    fn equal_secrets_agree_and_others_do_not() {
        let (one, two) = (Secret::random(8).unwrap(), Secret::random(8).unwrap());
        let agree = |a: (&Secret, u32), b: (&Secret, u32)| {
            let (receiver, first) = start(Role::Receiver, a.0, a.1);
            let (sender, second) = start(Role::Sender, b.0, b.1);
            receiver.finish(&second).unwrap().0 == sender.finish(&first).unwrap().0
        };
        assert!(agree((&one, 7), (&one, 7)));
        assert!(!agree((&one, 7), (&two, 7)));
        assert!(!agree((&one, 7), (&one, 8)));
    }

    #[test]
    fn a_reflected_message_is_refused() {
        let secret = Secret::random(5).unwrap();
        let (receiver, first) = start(Role::Receiver, &secret, 1);
        assert_eq!(receiver.finish(&first).unwrap_err(), PakeError);
    }

    #[test]
    fn points_outside_the_group_are_refused() {
        let secret = Secret::random(5).unwrap();
        let honest = start(Role::Sender, &secret, 1).1;
        let honest_point = CompressedEdwardsY::from_slice(&honest[1..]).unwrap().decompress().unwrap();
        let mut hostile: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|p| p.compress().to_bytes()).collect();
        hostile.extend(EIGHT_TORSION[1..].iter().map(|p| (honest_point + p).compress().to_bytes()));
        hostile.push([0xff; 32]); // y is above the field's prime
        let mut one_plus_p = [0xff; 32]; // the identity's y, not reduced
        (one_plus_p[0], one_plus_p[31]) = (0xee, 0x7f);
        hostile.push(one_plus_p);
        for point in hostile {
            let (receiver, _) = start(Role::Receiver, &secret, 1);
            let message = [&b"B"[..], &point[..]].concat();
            assert_eq!(receiver.finish(&message).unwrap_err(), PakeError, "{point:?}");
        }
        for length in [0, 1, 32, 34] {
            let (receiver, _) = start(Role::Receiver, &secret, 1);
            let message: Vec<u8> = honest.iter().copied().cycle().take(length).collect();
            assert_eq!(receiver.finish(&message).unwrap_err(), PakeError);
        }
    }
}
