//! Tests of a writer and a reader whose streams are cut and replaced.

use proptest::prelude::*;

use super::*;
use crate::{
    code::{Secret, Slot},
    crypto::{
        Cipher, ExchangeMode, Opener, PakeExchange, Password, PeerMessage, RecordKind, Role, SessionKeys, Transcript,
    },
    net::{StreamError, duplex},
    transfer::session::resumable_stream::ResumableStream,
    wire::{Frame, peer::DoneAck},
};

/// One direction of a session.
struct Direction {
    writer: SessionWriter,
    reader: SessionReader,
    opener: Opener,
    streams: StreamPair,
}

/// The streams of the sender and of the receiver.
struct StreamPair {
    sender: ResumableStream,
    receiver: ResumableStream,
}

impl Direction {
    fn new() -> Self {
        let [(send, _), (_, recv)] = duplex();
        let [receiver, sender] = session_keys();
        let streams = StreamPair { sender: ResumableStream::new(), receiver: ResumableStream::new() };
        streams.sender.enable_reattach();
        streams.receiver.enable_reattach();
        Self {
            writer: SessionWriter::new(&streams.sender, send, sender.into_record_layer(Role::Sender).0),
            reader: SessionReader::new(&streams.receiver, recv),
            opener: receiver.into_record_layer(Role::Receiver).1,
            streams,
        }
    }
}

impl StreamPair {
    /// Breaks the current stream and attaches another. The receiver reports `unreported` bytes less than it has
    /// received.
    fn replace(&self, unreported: u64) {
        let [sender, receiver] = duplex();
        let reported = self.receiver.received_bytes().saturating_sub(unreported);
        self.sender.mark_broken(StreamError::EndedEarly);
        self.receiver.mark_broken(StreamError::EndedEarly);
        if self.sender.attach(sender.0, sender.1, reported, 0).is_ok() {
            self.receiver.attach(receiver.0, receiver.1, 0, reported).unwrap();
        }
    }
}

/// Returns the keys of a receiver and of a sender with the same code.
fn session_keys() -> [SessionKeys; 2] {
    let slot = Slot::from_number(1);
    let password = Password::from(&Secret::random(5).unwrap());
    let (receiver, first) = PakeExchange::start(Role::Receiver, &password, slot, ExchangeMode::Code);
    let (sender, second) = PakeExchange::start(Role::Sender, &password, slot, ExchangeMode::Code);
    let transcript = Transcript::new(slot, ExchangeMode::Code, b"", b"");
    let derive = |key| SessionKeys::derive(&key, transcript.clone(), Cipher::Aes256Gcm);
    let first = PeerMessage::parse(Role::Receiver, &first).unwrap();
    let second = PeerMessage::parse(Role::Sender, &second).unwrap();
    [derive(receiver.finish(&second).unwrap()), derive(sender.finish(&first).unwrap())]
}

fn done_ack() -> RecordBuilder {
    RecordBuilder::from_message(&DoneAck {}).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_record_arrives_once_wherever_streams_break(
        lengths in proptest::collection::vec(0usize..3_000, 1..40),
        cuts in proptest::collection::vec((0u32..40, 0u64..4_000), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let Direction { mut writer, mut reader, mut opener, streams } = Direction::new();
            let sending = async {
                for (n, length) in lengths.iter().enumerate() {
                    let mut record = RecordBuilder::new();
                    record.push_data(*length, |b| { b.fill(n as u8); Ok::<_, ()>(b.len()) }).unwrap();
                    writer.send(record).await.unwrap();
                }
                let mut closing = writer.close(done_ack()).unwrap();
                closing.flush_while(std::future::pending::<()>()).await;
            };
            let cutting = async {
                for (yields, unreported) in &cuts {
                    for _ in 0..*yields {
                        tokio::task::yield_now().await;
                    }
                    streams.replace(*unreported);
                }
                std::future::pending::<()>().await;
            };
            let receiving = async {
                let mut records = Vec::new();
                while let Some(record) = reader.read_record(&mut opener).await.unwrap() {
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

/// The receiver has reported less than it has received, and it has received everything but the end of the stream.
#[tokio::test]
async fn bytes_repeated_before_the_end_of_the_stream_are_skipped() {
    let Direction { mut writer, mut reader, mut opener, streams } = Direction::new();
    writer.send(done_ack()).await.unwrap();
    writer.seal(done_ack(), RecordKind::Last).unwrap(); // without the end of the stream
    writer.flush().await.unwrap();
    reader.read_record(&mut opener).await.unwrap().unwrap();
    let reading = reader.read_record(&mut opener);
    let replacing = async {
        tokio::task::yield_now().await; // the last record has arrived now
        streams.replace(10);
        writer.ended = true;
        writer.flush_while(std::future::pending::<()>()).await;
    };
    let record = tokio::select! {
        record = reading => record,
        () = replacing => unreachable!(),
    };
    assert!(record.unwrap().is_some());
    assert!(reader.read_record(&mut opener).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_record_survives_a_read_that_is_dropped_before_the_end_of_the_stream() {
    let Direction { mut writer, mut reader, mut opener, .. } = Direction::new();
    writer.seal(done_ack(), RecordKind::Last).unwrap(); // without the end of the stream
    writer.flush().await.unwrap();
    tokio::select! {
        biased;
        record = reader.read_record(&mut opener) => panic!("{record:?} before the end of the stream"),
        () = tokio::task::yield_now() => {}
    }
    writer.ended = true;
    writer.flush().await.unwrap();
    let record = reader.read_record(&mut opener).await.unwrap().unwrap();
    assert_eq!(&record[..], done_ack().frames());
    assert!(reader.read_record(&mut opener).await.unwrap().is_none());
}
