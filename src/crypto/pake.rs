//! The password-authenticated key exchange: SPAKE2 on edwards25519, two-sided (receiver is A, sender is B).
//!
//! One exchange tests one guess at the password, and an eavesdropper learns nothing about it. The `spake2` crate
//! implements the exchange. This wrapper adds a check that the crate lacks: a point must be canonical, in the
//! prime-order group and not the identity. RFC 9382 section 7 requires the group check; without it, a peer can force
//! the key into a set of eight values.
//!
//! Passwords and keys are wiped when they are dropped, as far as the `spake2` crate allows. Each exchange of the crate
//! holds a copy of the password and two scalars. It frees them without wiping them and gives no access to them. An
//! exchange lives for at most a round trip, but freed memory may contain the copies until it is reused.

use std::fmt;

use curve25519_dalek::{edwards::CompressedEdwardsY, traits::IsIdentity};
use spake2::{Ed25519Group, Identity, Spake2};
use zeroize::Zeroizing;

use crate::code::{Secret, Slot};

/// The length of a message in bytes: one byte for the side, and a compressed point.
pub const MESSAGE_LENGTH: usize = 33;

/// The end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Side A, which sends the first flight.
    Receiver,
    /// Side B.
    Sender,
}

/// The kind of password. Each mode has its own identities, so a message of one mode is useless in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeMode {
    /// The secret of a code, which can be guessed.
    Code,
    /// The resumption key that the sender has granted to a receiver.
    Resume,
}

impl ExchangeMode {
    /// Returns the mode's name in identities and transcripts.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Resume => "resume",
        }
    }
}

/// The secret that both ends must know. It is wiped when it is dropped.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl From<&Secret> for Password {
    fn from(secret: &Secret) -> Self {
        Self::from_bytes(secret.expose())
    }
}

/// A message from the other end: a point of the prime-order group.
pub struct PeerMessage([u8; MESSAGE_LENGTH]);

impl PeerMessage {
    /// Parses the message of the end `from`. This costs less than a tenth of an exchange.
    ///
    /// # Errors
    /// [`PakeError`] if no honest end sends such a message: a wrong length or side, or a point that is not canonical,
    /// not torsion-free, or the identity.
    pub fn parse(from: Role, message: &[u8]) -> Result<Self, PakeError> {
        let message = <[u8; MESSAGE_LENGTH]>::try_from(message).map_err(|_| PakeError)?;
        let side = match from {
            Role::Receiver => b'A',
            Role::Sender => b'B',
        };
        let compressed = CompressedEdwardsY::from_slice(&message[1..]).map_err(|_| PakeError)?;
        let point = compressed.decompress().ok_or(PakeError)?;
        if message[0] != side || point.compress() != compressed || !point.is_torsion_free() || point.is_identity() {
            return Err(PakeError);
        }
        Ok(Self(message))
    }
}

/// One end of an exchange that has made its message and awaits the other end's. It can be finished once.
pub struct PakeExchange {
    state: Spake2<Ed25519Group>,
}

impl PakeExchange {
    /// Starts an exchange, and returns the message for the other end.
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

    /// Returns the key, which is equal at both ends if both have the same password.
    ///
    /// # Errors
    /// [`PakeError`] if both messages come from the same role.
    pub fn finish(self, message: &PeerMessage) -> Result<PakeKey, PakeError> {
        self.state.finish(&message.0).map(|key| PakeKey(Zeroizing::new(key))).map_err(|_| PakeError)
    }
}

/// The key of an exchange, not yet proved to be equal at both ends.
pub struct PakeKey(Zeroizing<Vec<u8>>);

impl PakeKey {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

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

    fn parse(from: Role, message: &[u8]) -> PeerMessage {
        PeerMessage::parse(from, message).unwrap()
    }

    #[test]
    fn only_equal_secrets_and_slots_agree() {
        let (one, two) = (Secret::random(8).unwrap(), Secret::random(8).unwrap());
        let agree = |a: (&Secret, u32), b: (&Secret, u32)| {
            let (receiver, first) = start(Role::Receiver, a.0, a.1);
            let (sender, second) = start(Role::Sender, b.0, b.1);
            let (first, second) = (parse(Role::Receiver, &first), parse(Role::Sender, &second));
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
        assert!(PeerMessage::parse(Role::Sender, &first).is_err());
        assert_eq!(receiver.finish(&parse(Role::Receiver, &first)).unwrap_err(), PakeError);
    }

    #[test]
    fn points_outside_the_group_are_refused() {
        let secret = Secret::random(5).unwrap();
        let honest = start(Role::Sender, &secret, 1).1;
        let honest_point = CompressedEdwardsY::from_slice(&honest[1..]).unwrap().decompress().unwrap();
        let mut hostile: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|p| p.compress().to_bytes()).collect();
        hostile.extend(EIGHT_TORSION[1..].iter().map(|p| (honest_point + p).compress().to_bytes()));
        hostile.push([0xff; 32]); // y exceeds the field's prime
        let mut one_plus_p = [0xff; 32]; // the identity's y, not reduced
        (one_plus_p[0], one_plus_p[31]) = (0xee, 0x7f);
        hostile.push(one_plus_p);
        for point in hostile {
            let message = [&b"B"[..], &point[..]].concat();
            assert!(PeerMessage::parse(Role::Sender, &message).is_err(), "{point:?}");
        }
        for length in [0, 1, 32, 34] {
            let message: Vec<u8> = honest.iter().copied().cycle().take(length).collect();
            assert!(PeerMessage::parse(Role::Sender, &message).is_err());
        }
    }
}
