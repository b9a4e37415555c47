//! Tests of the record layer.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::{key_schedule::RECORDS_PER_KEY, *};
use crate::crypto::cipher::Cipher::{self, Aes256Gcm, ChaCha20Poly1305};

const CIPHERS: [Cipher; 2] = [Aes256Gcm, ChaCha20Poly1305];

fn pair(cipher: Cipher, seed: u8) -> (Sealer, Opener) {
    let secret = || Zeroizing::new([seed; 32]);
    (Sealer::new(cipher, secret()), Opener::new(cipher, secret()))
}

fn ciphers() -> impl Strategy<Value = Cipher> {
    prop::sample::select(CIPHERS.to_vec())
}

fn open(opener: &mut Opener, record: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut record = record.to_vec();
    opener.open(&mut record)?;
    Ok(plaintext(&record).to_vec())
}

fn seal(sealer: &mut Sealer, plaintext: &[u8], kind: RecordKind) -> Vec<u8> {
    let mut record = [&[0; RECORD_HEADER], plaintext].concat();
    sealer.seal(&mut record, kind);
    record
}

#[test]
fn the_bytes_of_a_record_are_fixed() {
    for (cipher, bytes) in [
        (
            Aes256Gcm,
            ["000000031a29ce4cdfdc5f9eecfda1b010a80caf3e1865", "01000003a4d5c0a37538e1de2052fa81214147521c9e67"],
        ),
        (
            ChaCha20Poly1305,
            ["0000000349b087922d28a606a94bb94a4a0b382f1e958f", "01000003645ba3c2bc3d5ddf5c87cceb5e45731b0eb902"],
        ),
    ] {
        let (mut sealer, _) = pair(cipher, 7);
        for (kind, expected) in [RecordKind::Data, RecordKind::Last].into_iter().zip(bytes) {
            let record = seal(&mut sealer, b"abc", kind);
            assert_eq!(data_encoding::HEXLOWER.encode(&record), expected, "{cipher:?}, {kind:?}");
        }
    }
}

#[test]
fn records_of_one_cipher_do_not_open_with_the_other() {
    for (one, other) in [(Aes256Gcm, ChaCha20Poly1305), (ChaCha20Poly1305, Aes256Gcm)] {
        let record = seal(&mut pair(one, 1).0, b"one", RecordKind::Data);
        assert_eq!(open(&mut pair(other, 1).1, &record), Err(OpenError));
    }
}

#[test]
fn reordered_replayed_and_foreign_records_do_not_open() {
    for cipher in CIPHERS {
        let (mut sealer, mut opener) = pair(cipher, 1);
        let one = seal(&mut sealer, b"one", RecordKind::Data);
        let two = seal(&mut sealer, b"two", RecordKind::Last);
        assert_eq!(open(&mut opener, &two), Err(OpenError));
        let (_, mut opener) = pair(cipher, 1);
        assert_eq!(open(&mut opener, &one).unwrap(), b"one");
        assert_eq!(open(&mut opener, &one), Err(OpenError), "replayed");
        let (_, mut other) = pair(cipher, 2);
        assert_eq!(open(&mut other, &two), Err(OpenError));
    }
}

#[test]
fn no_record_opens_after_the_last() {
    for cipher in CIPHERS {
        let (mut sealer, mut opener) = pair(cipher, 1);
        let last = seal(&mut sealer, b"", RecordKind::Last);
        open(&mut opener, &last).unwrap();
        assert!(opener.is_ended());
        let (mut sealer, _) = pair(cipher, 1);
        sealer.keys.next_number = 1;
        let more = seal(&mut sealer, b"", RecordKind::Data);
        assert_eq!(open(&mut opener, &more), Err(OpenError));
    }
}

#[test]
fn both_ends_replace_their_keys_at_the_same_record() {
    for cipher in CIPHERS {
        let (mut sealer, mut opener) = pair(cipher, 3);
        sealer.keys.next_number = RECORDS_PER_KEY - 1;
        opener.keys.next_number = RECORDS_PER_KEY - 1;
        let before = sealer.keys.secret.clone();
        for n in 0..3u8 {
            let record = seal(&mut sealer, &[n], RecordKind::Data);
            assert_eq!(open(&mut opener, &record).unwrap(), [n]);
        }
        assert_ne!(before, sealer.keys.secret);
    }
}

proptest! {
    #[test]
    fn sealed_records_open(
        cipher in ciphers(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..2_000),
        last: bool,
    ) {
        let kind = if last { RecordKind::Last } else { RecordKind::Data };
        let (mut sealer, mut opener) = pair(cipher, 1);
        let record = seal(&mut sealer, &plaintext, kind);
        prop_assert_eq!(record.len(), plaintext.len() + RECORD_OVERHEAD);
        prop_assert_eq!(open(&mut opener, &record).unwrap(), &plaintext[..]);
        prop_assert_eq!(opener.is_ended(), last);
    }

    #[test]
    fn a_record_with_a_changed_bit_does_not_open(
        cipher in ciphers(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..60),
        bit: u16,
    ) {
        let (mut sealer, mut opener) = pair(cipher, 1);
        let mut record = seal(&mut sealer, &plaintext, RecordKind::Data);
        let bit = usize::from(bit) % (record.len() * 8);
        record[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(&mut opener, &record), Err(OpenError));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(cipher in ciphers(), mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = pair(cipher, 1).1.open(&mut bytes);
    }
}
