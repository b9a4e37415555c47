//! Measures parts of a transfer without a network: sealing and opening records, framing, the key exchange and parsing.
#![allow(clippy::unwrap_used, reason = "a failed set-up leaves nothing to measure")]
#![allow(missing_docs, reason = "criterion's macro generates a public item")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qshare::internals::{
    code::{Code, Secret, Slot},
    crypto::{
        Cipher, ExchangeMode, Opener, PakeExchange, Password, PeerMessage, RECORD_HEADER, RecordKind, Role, Sealer,
        SessionKeys, Transcript,
    },
    manifest::{EntryKind, Mtime, RawEntry, SafePath},
    transfer::session::RecordBuilder,
    wire::{
        Frame, Message, frame,
        peer::{FileEnd, FileStart, ManifestPart},
    },
};

const CIPHERS: [(&str, Cipher); 2] =
    [("AES-256-GCM", Cipher::Aes256Gcm), ("ChaCha20-Poly1305", Cipher::ChaCha20Poly1305)];

/// The lengths of a record's plaintext: a short message, a few packets, and the records of a long file.
const SIZES: [(&str, usize); 3] = [("1 KiB", 1024), ("16 KiB", 16 * 1024), ("128 KiB", 128 * 1024)];

/// The maximum number of records that are sealed before they are opened.
const BATCH: u64 = 32;

const ENTRIES: usize = 1000;
const SMALL_FILE: usize = 4096;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = sealing, opening, manifest, small_files, handshake, parsing
}
criterion_main!(benches);

fn sealing(c: &mut Criterion) {
    for (name, cipher) in CIPHERS {
        let mut group = c.benchmark_group(format!("seal, {name}"));
        for (name, size) in SIZES {
            let (mut sealer, _) = new_session(cipher);
            let mut record = vec![7; RECORD_HEADER + size];
            record.reserve(64); // the tag
            group.throughput(Throughput::Bytes(size as u64)).bench_function(name, |b| {
                b.iter(|| {
                    record.truncate(RECORD_HEADER + size);
                    sealer.seal(black_box(&mut record), RecordKind::Data);
                });
            });
        }
    }
}

fn opening(c: &mut Criterion) {
    for (name, cipher) in CIPHERS {
        let mut group = c.benchmark_group(format!("open, {name}"));
        for (name, size) in SIZES {
            let (mut sealer, mut opener) = new_session(cipher);
            group.throughput(Throughput::Bytes(size as u64)).bench_function(name, |b| {
                b.iter_custom(|records| {
                    let batches = (0..records).step_by(BATCH as usize).map(|done| BATCH.min(records - done));
                    batches.map(|records| open_batch(&mut sealer, &mut opener, size, records)).sum()
                });
            });
        }
    }
}

/// Seals some records, each of which can be opened only once, and measures the time that opening them takes.
fn open_batch(sealer: &mut Sealer, opener: &mut Opener, size: usize, records: u64) -> Duration {
    let seal = |_| {
        let mut record = vec![7; RECORD_HEADER + size];
        sealer.seal(&mut record, RecordKind::Data);
        record
    };
    let mut sealed: Vec<_> = (0..records).map(seal).collect();
    let start = Instant::now();
    for record in &mut sealed {
        opener.open(black_box(record)).unwrap();
    }
    start.elapsed()
}

fn manifest(c: &mut Criterion) {
    let entry = |i| RawEntry {
        path: format!("holiday/{:02}/picture {i:04}.jpeg", i / 100),
        kind: EntryKind::File { size: Some(i as u64 * 4_099) },
        mode: 0o644,
        mtime: Some(Mtime { seconds: 1_700_000_000 + i as i64, nanos: 123_456_789 }),
    };
    let part = ManifestPart((0..ENTRIES).map(entry).collect());
    let mut encoded = Vec::new();
    frame::encode(&part, &mut encoded).unwrap();

    let mut group = c.benchmark_group("manifest of 1000 entries");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    let mut out = Vec::with_capacity(encoded.len());
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            frame::encode(black_box(&part), &mut out).unwrap();
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| Frame::split(&mut black_box(&encoded[..])).unwrap().decode::<ManifestPart>().unwrap());
    });
}

fn small_files(c: &mut Criterion) {
    let (record, files) = record_of_small_files();
    let mut group = c.benchmark_group("record of 4 KiB files");
    group.throughput(Throughput::Elements(files));
    group.bench_function("fill", |b| b.iter(record_of_small_files));
    group.bench_function("split", |b| b.iter(|| split_frames(black_box(record.frames()))));
}

/// Returns a full record of small files, and their number.
fn record_of_small_files() -> (RecordBuilder, u64) {
    let mut record = RecordBuilder::new();
    let mut files = 0;
    while record.remaining() > SMALL_FILE + 128 {
        record.push(&FileStart { entry: files, offset: 0 }).unwrap();
        record.push_data(SMALL_FILE, |body| Ok::<_, ()>(body.len())).unwrap();
        record.push(&FileEnd { hash: [7; 32] }).unwrap();
        files += 1;
    }
    (record, files.into())
}

/// Splits a record into frames as a receiver does. Returns the bytes of content.
fn split_frames(mut frames: &[u8]) -> usize {
    let mut content = 0;
    while !frames.is_empty() {
        let frame = Frame::split(&mut frames).unwrap();
        match frame.kind {
            FileStart::TYPE => drop(black_box(frame.decode::<FileStart>().unwrap())),
            FileEnd::TYPE => drop(black_box(frame.decode::<FileEnd>().unwrap())),
            _ => content += frame.body.len(),
        }
    }
    content
}

fn handshake(c: &mut Criterion) {
    let code = random_code();
    c.bench_function("handshake, both ends", |b| b.iter(|| exchange_keys(black_box(&code), Cipher::Aes256Gcm)));
}

fn parsing(c: &mut Criterion) {
    let text = random_code().reveal();
    c.bench_function("parse a code", |b| b.iter(|| Code::parse(black_box(text.as_str())).unwrap()));
    let mut group = c.benchmark_group("parse a path");
    for (name, path) in [("ASCII", "holiday/2026/05/picture 0001.jpeg"), ("Unicode", "отпуск/été/写真/絵 0001.jpeg")]
    {
        group.bench_function(name, |b| b.iter(|| SafePath::parse(black_box(path)).unwrap()));
    }
}

fn random_code() -> Code {
    Code::new(Slot::from_number(123_456), Secret::random(5).unwrap())
}

/// Runs a whole key exchange: both messages, both keys, both confirmation tags.
fn exchange_keys(code: &Code, cipher: Cipher) -> (SessionKeys, SessionKeys) {
    let (slot, password) = (code.slot(), Password::from(code.secret()));
    let (receiver, flight_1) = PakeExchange::start(Role::Receiver, &password, slot, ExchangeMode::Code);
    let (sender, flight_2) = PakeExchange::start(Role::Sender, &password, slot, ExchangeMode::Code);
    let transcript = Transcript::new(slot, ExchangeMode::Code, &flight_1, &flight_2);
    let from_receiver = PeerMessage::parse(Role::Receiver, &flight_1).unwrap();
    let from_sender = PeerMessage::parse(Role::Sender, &flight_2).unwrap();
    let receiver = SessionKeys::derive(&receiver.finish(&from_sender).unwrap(), transcript.clone(), cipher);
    let sender = SessionKeys::derive(&sender.finish(&from_receiver).unwrap(), transcript, cipher);
    receiver.verify_tag(Role::Sender, &sender.sender_tag()).unwrap();
    sender.verify_tag(Role::Receiver, &receiver.receiver_tag()).unwrap();
    (sender, receiver)
}

/// Returns the sender's sealer and the receiver's opener of a new session.
fn new_session(cipher: Cipher) -> (Sealer, Opener) {
    let (sender, receiver) = exchange_keys(&random_code(), cipher);
    (sender.into_record_layer(Role::Sender).0, receiver.into_record_layer(Role::Receiver).1)
}
