use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    code::{Secret, Slot},
    crypto::{Cipher, ExchangeMode, Opener, PakeExchange, Password, RecordKind, Role, SessionKeys, Transcript},
    net::{BufferPool, StreamError, duplex},
    transfer::session::resumable_stream::{FIRST_STREAM, ResumableStream},
    wire::{
        Frame,
        peer::{DoneAck, PAD},
    },
};

#[test]
fn a_padded_record_hides_its_length() {
    for length in [0usize, 1, 100, 5_000] {
        let mut record = RecordBuilder::new();
        record.push(&DoneAck {}).unwrap();
        record
            .push_data(length, |b| {
                b.fill(7);
                Ok::<_, ()>(b.len())
            })
            .unwrap();
        record.pad();
        assert!(record.plaintext_length().is_power_of_two(), "{length}");
        let mut rest = record.frames();
        let mut last = 0;
        while !rest.is_empty() {
            last = Frame::split(&mut rest).unwrap().kind;
        }
        assert_eq!(last, PAD);
    }
}

#[test]
fn a_full_record_has_the_agreed_length() {
    let mut record = RecordBuilder::new();
    let room = record.remaining();
    record.push_data(room, |b| Ok::<_, ()>(b.len())).unwrap();
    assert_eq!(record.sealed_length(), MAX_RECORD as u64);
    assert_eq!(record.remaining(), 0);
}

/// Both ends of a session over one stream after another.
struct Pair {
    ends: [ResumableStream; 2],
}

impl Pair {
    /// One direction of it: who sends, who receives, and what opens the records.
    fn new() -> (Self, SessionWriter, SessionReader, Opener) {
        let [(send, _), (_, recv)] = duplex();
        let keys = || {
            let slot = Slot::from_number(1);
            let secret = Secret::random(5).unwrap();
            let password = || Password::from(&secret);
            let (one, first) = PakeExchange::start(Role::Receiver, &password(), slot, ExchangeMode::Code);
            let (two, second) = PakeExchange::start(Role::Sender, &password(), slot, ExchangeMode::Code);
            let derive =
                |key| SessionKeys::derive(&key, Transcript::new(slot, ExchangeMode::Code, b"", b""), Cipher::Aes256Gcm);
            [derive(one.finish(&second).unwrap()), derive(two.finish(&first).unwrap())]
        };
        let [receiver, sender] = keys();
        let pair = Self { ends: [ResumableStream::new(), ResumableStream::new()] };
        pair.ends.iter().for_each(ResumableStream::enable_reattach);
        let out = SessionWriter::new(&pair.ends[0], send, sender.into_record_layer(Role::Sender).0);
        let incoming = SessionReader::new(&pair.ends[1], recv);
        (pair, out, incoming, receiver.into_record_layer(Role::Receiver).1)
    }

    /// The stream breaks, wherever it is, and another one comes; acknowledged may be less than has arrived.
    fn replace(&self, behind: u64) {
        let [(send, back), (other, recv)] = duplex();
        let received = self.ends[1].received_bytes();
        let told = received.saturating_sub(behind);
        self.ends.iter().for_each(|end| end.mark_broken(StreamError::EndedEarly));
        if self.ends[0].attach(send, back, told, 0).is_ok() {
            self.ends[1].attach(other, recv, 0, told).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_breaks_the_same_bytes_arrive_once(
        lengths in proptest::collection::vec(0usize..3_000, 1..40),
        cuts in proptest::collection::vec((0u32..40, 0u64..4_000), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (pair, mut out, mut incoming, mut opener) = Pair::new();
            let sending = async {
                for (n, length) in lengths.iter().enumerate() {
                    let mut record = RecordBuilder::new();
                    record.push_data(*length, |b| { b.fill(n as u8); Ok::<_, ()>(b.len()) }).unwrap();
                    out.send(record).await.unwrap();
                }
                let mut leaving = out.close(RecordBuilder::from_message(&DoneAck {}).unwrap()).unwrap();
                leaving.flush_while(std::future::pending::<()>()).await;
            };
            let cutting = async {
                for (yields, behind) in &cuts {
                    for _ in 0..*yields {
                        tokio::task::yield_now().await;
                    }
                    pair.replace(*behind);
                }
                std::future::pending::<()>().await;
            };
            let receiving = async {
                let mut records = Vec::new();
                while let Some(record) = incoming.read_record(&mut opener).await.unwrap() {
                    records.push(record.to_vec());
                }
                records
            };
            let records = tokio::select! {
                () = sending => unreachable!(),
                () = cutting => unreachable!(),
                records = receiving => records,
            };
            prop_assert_eq!(records.len(), lengths.len() + 1);
            for (n, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
                let body = Frame::split(&mut &records[n][..]).unwrap().body.to_vec();
                prop_assert_eq!(body, vec![n as u8; *length]);
            }
            Ok(())
        })?;
    }
}

/// What this end has told is a little older than what it has, and what it has is all but the finish.
#[tokio::test]
async fn what_comes_once_more_before_the_finish_is_read_over() {
    let (pair, mut out, mut incoming, mut opener) = Pair::new();
    let sending = async {
        out.send(RecordBuilder::from_message(&DoneAck {}).unwrap()).await.unwrap();
        out.seal(RecordBuilder::from_message(&DoneAck {}).unwrap(), RecordKind::Last).unwrap(); // without the finish
        out.flush().await.unwrap();
    };
    sending.await;
    incoming.read_record(&mut opener).await.unwrap().unwrap();
    let opening = incoming.read_record(&mut opener);
    let replacing = async {
        tokio::task::yield_now().await; // the last record is here now
        pair.replace(10);
        out.ended = true;
        out.flush_while(std::future::pending::<()>()).await;
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = replacing => unreachable!(),
    };
    assert!(opened.unwrap().is_some());
    assert!(incoming.read_record(&mut opener).await.unwrap().is_none());
}

/// Of what the other end has and has acknowledged, the stream of the moment may have to bring some once more.
#[test]
fn what_is_acknowledged_stays_until_it_is_sent_again() {
    let stream = ResumableStream::new();
    stream.push_record(Bytes::from_static(b"01234")).unwrap();
    stream.push_record(Bytes::from_static(b"56789")).unwrap();
    stream.read_sealed(FIRST_STREAM, 0).unwrap();
    stream.read_sealed(FIRST_STREAM, 5).unwrap();
    let [one, _] = duplex();
    stream.attach(one.0, one.1, 3, 0).unwrap();
    stream.acknowledge(10).unwrap();
    assert_eq!(stream.read_sealed(FIRST_STREAM + 1, 3).unwrap(), "34");
    assert_eq!(stream.read_sealed(FIRST_STREAM + 1, 5).unwrap(), "56789");
    assert!(stream.read_sealed(FIRST_STREAM + 1, 3).is_err(), "gone");
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    let stream = ResumableStream::new();
    stream.push_record(Bytes::from_static(b"0123456789")).unwrap();
    stream.read_sealed(FIRST_STREAM, 0).unwrap();
    assert!(stream.acknowledge(11).is_err());
    stream.acknowledge(4).unwrap();
    assert_eq!(stream.read_sealed(FIRST_STREAM, 4).unwrap(), "456789");
    stream.acknowledge(10).unwrap();
    assert!(stream.read_sealed(FIRST_STREAM, 10).unwrap().is_empty());
    assert!(stream.read_sealed(FIRST_STREAM, 9).is_err(), "gone");
    let [one, _] = duplex();
    assert!(stream.attach(one.0, one.1, 9, 0).is_err(), "less than was acknowledged");
    let [one, _] = duplex();
    assert!(stream.attach(one.0, one.1, 11, 0).is_err(), "more than was sent");
    let megabyte = Bytes::from(vec![0; 1024 * 1024]);
    let kept = (0..1_000).take_while(|_| stream.push_record(megabyte.clone()).is_ok()).count();
    assert_eq!(kept, 64, "who acknowledges nothing is not waited for");
}

#[test]
fn nothing_of_what_a_buffer_held_before_is_in_a_record() {
    let stock = BufferPool::default();
    stock.get().resize(MAX_RECORD, 0xee);
    let mut record = RecordBuilder::with_buffer(stock.get());
    assert!(record.is_empty());
    record.push(&DoneAck {}).unwrap();
    let ten = |body: &mut [u8]| {
        body[..10].fill(1);
        Ok::<_, ()>(10)
    };
    record.push_data(1_000, ten).unwrap();
    record.push_data(1_000, |_| Ok::<_, ()>(0)).unwrap();
    record.pad();
    assert!(!record.frames().contains(&0xee));
    assert_eq!(record.frames().len(), 32);
}
